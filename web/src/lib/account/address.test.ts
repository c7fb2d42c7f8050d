import { describe, expect, it } from 'vitest';
import { ownPath, signInFor } from './address';

describe('after signing in', () => {
  it.each(['/runs', '/runs?status=failed&q=a%2Fb', '/workflows/orders#step', '/settings'])('%s is ours', (to) =>
    expect(ownPath(to)).toBe(to)
  );
  it.each([
    null,
    '',
    'runs',
    'https://evil.example/runs',
    '//evil.example',
    '/\\evil.example',
    '/\t/evil.example',
    '/.//evil.example',
    '/x/..//evil.example',
    'javascript:alert(1)',
    '/sign-in?to=/runs'
  ])('%j leads to the start', (to) => expect(ownPath(to)).toBe('/'));
});

describe('the way to sign in', () => {
  it('remembers what was wanted, whole', () => {
    const wanted = '/runs?status=failed&q=a b';
    expect(ownPath(new URL(signInFor(wanted), 'http://x').searchParams.get('to'))).toBe('/runs?status=failed&q=a%20b');
  });
  it.each(['/', '/sign-in', '/sign-in?to=/runs'])('needs not remember %s', (path) =>
    expect(signInFor(path)).toBe('/sign-in')
  );
});
