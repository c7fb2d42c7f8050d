import { describe, expect, it } from 'vitest';
import { EXACT_MAX, Exact, isRounded, parseExactly, written } from './exact';

describe('numbers', () => {
  it('are kept as they were sent when JavaScript would round them', () => {
    const text = '{"id":12345678901234567890,"big":1e400,"pi":3.14159265358979323846}';
    const value = parseExactly(text) as Record<string, unknown>;
    expect(value.id).toEqual(new Exact('12345678901234567890'));
    expect(value.big).toEqual(new Exact('1e400'));
    expect(written(parseExactly(text)).replaceAll(/\s/g, '')).toBe(text);
  });

  it('are numbers when nothing is lost', () =>
    expect(parseExactly('[1e308,1.50,-0,1000000000000000000000,0.1,15e-1]')).toEqual([1e308, 1.5, -0, 1e21, 0.1, 1.5]));

  it('of a long text are rounded, and that is told', () => {
    const text = `["${'x'.repeat(EXACT_MAX)}",12345678901234567890]`;
    expect(isRounded(text)).toBe(true);
    expect(typeof (parseExactly(text) as unknown[])[1]).toBe('number');
  });
});

it('reads what is nested ten thousand times, and says when it can not write it', () => {
  const value = parseExactly(`${'['.repeat(10_000)}1e400${']'.repeat(10_000)}`);
  expect(Array.isArray(value)).toBe(true);
  expect(written(value)).toMatch(/nested too deeply|\[/);
});

it('takes __proto__ for a name like any other', () =>
  expect(Object.keys(parseExactly('{"__proto__":{"a":12345678901234567890}}') as object)).toEqual(['__proto__']));
