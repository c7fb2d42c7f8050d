import { describe, expect, it } from 'vitest';
import { parseCurl } from './curl';
import { keysIn } from './curlsecrets';

const keys = (command: string, taken: string[] = []) => keysIn(parseCurl(command), taken);

describe('keys in a pasted call', () => {
  it.each([
    ['a bearer token', `curl https://api.github.com/user -H 'Authorization: Bearer ghp_1'`, 'ghp_1', 'GITHUB_TOKEN'],
    ['a password', 'curl -u ada:open-sesame https://example.com', 'open-sesame', 'EXAMPLE_PASSWORD'],
    ['another scheme', `curl https://x.example -H 'Authorization: Token abc'`, 'abc', 'X_TOKEN'],
    ['no scheme', `curl https://x.example -H 'Authorization: abc'`, 'abc', 'X_TOKEN'],
    ['a header of its own', `curl https://api.acme.io -H 'X-Api-Key: k-1'`, 'k-1', 'ACME_API_KEY'],
    ['a cookie', `curl http://127.0.0.1:8000 -b 'session=1'`, 'session=1', 'API_COOKIE'],
    ['a name with a digit first', `curl https://1password.com -H 'authorization: Bearer t'`, 't', '_1PASSWORD_TOKEN']
  ])('finds %s', (_, command, value, name) =>
    expect(keys(command).map((key) => [key.value, key.name])).toEqual([[value, name]])
  );

  it('puts a template in place of the value, and leaves the scheme', () => {
    const call = parseCurl(`curl https://x.example -H 'Authorization: Token abc' -H 'accept: */*'`);
    expect(keysIn(call)[0]?.put(call, '{{ secrets.X }}').headers).toEqual({
      authorization: 'Token {{ secrets.X }}',
      accept: '*/*'
    });
    const basic = parseCurl('curl -u ada:open-sesame https://example.com');
    expect(keysIn(basic)[0]?.put(basic, '{{ secrets.X }}').auth).toEqual({
      type: 'basic',
      user: 'ada',
      password: '{{ secrets.X }}'
    });
  });

  it('gives no name that is taken, nor one twice', () => {
    const command = `curl https://x.example -u a:password-1 -H 'x-token: t' -H 'authorization: Basic abc'`;
    expect(keys(command, ['X_PASSWORD']).map(({ name }) => name)).toEqual(['X_PASSWORD_2', 'X_TOKEN', 'X_TOKEN_2']);
  });

  it('leaves templates and what anybody may know', () =>
    expect(
      keys(`curl https://x.example -H 'Authorization: Bearer {{ secrets.T }}' -H 'accept: a' -H 'idempotency-id: 1'`)
    ).toEqual([]));
});
