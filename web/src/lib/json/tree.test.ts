import { describe, expect, it } from 'vitest';
import type { Json } from './exact';
import { CHUNK, found, linesOf, pathOf, pathText, revealed, toggled } from './tree';
import { quoted, visible } from './visible';

const drawn = (lines: ReturnType<typeof linesOf>): string[] => lines.map((line) => `${line.depth}${line.key ?? ''}`);

describe('the lines of a value', () => {
  it('opens what is small, and closes with all that is in it', () => {
    const lines = linesOf({ a: { b: [1, 2] }, c: null });
    expect(drawn(lines)).toEqual(['0', '1a', '2b', '30', '31', '1c']);
    expect(drawn(toggled(lines, 1))).toEqual(['0', '1a', '1c']);
    expect(drawn(toggled(toggled(lines, 1), 1))).toEqual(['0', '1a', '2b', '1c']);
  });

  it('of a long list are a chunk and the rest', () => {
    const lines = linesOf(Array.from({ length: 1_000_000 }, (_, at) => at));
    expect(lines).toHaveLength(CHUNK + 2);
    expect(lines.at(-1)!.hidden).toEqual({ from: CHUNK, to: 1_000_000 });
    const more = toggled(lines, lines.length - 1);
    expect(more.at(-1)!.hidden).toEqual({ from: 2 * CHUNK, to: 1_000_000 });
  });

  it('shows what lies far inside, and little of what lies around it', () => {
    const value = { far: Array.from({ length: 100_000 }, (_, at) => ({ at })) };
    const { lines, at } = revealed(linesOf(value), ['far', 77_777, 'at']);
    expect(lines[at]!.value).toBe(77_777);
    expect(pathOf(lines[at]!)).toEqual(['far', 77_777, 'at']);
    expect(lines.length).toBeLessThan(4 * CHUNK);
  });

  it('goes as deep as anything', () => {
    let value: Json = 'bottom';
    for (let depth = 0; depth < 20_000; depth++) value = [value];
    const hits = [...found(value, 'bottom')].filter((hit) => hit !== undefined);
    expect(hits.map((hit) => hit.length)).toEqual([20_000]);
  });
});

it('finds names, strings and numbers, in either case', () => {
  const value = { Total: 7, list: ['a', { note: 'TOTAL 71' }], no: null };
  const texts = (text: string): string[] =>
    [...found(value, text)].filter((hit) => hit !== undefined).map((hit) => pathText(hit));
  expect(texts('total')).toEqual(['Total', 'list[1].note']);
  expect(texts('7')).toEqual(['Total', 'list[1].note']);
  expect(texts('null')).toEqual(['no']);
});

it('writes paths as expressions do', () =>
  expect([pathText(['items', 0, 'first name']), pathText([])]).toEqual(['items[0]."first name"', '@']));

it('makes marks visible that hide or turn text round', () => {
  expect(visible('user\u202excod.exe\u200b')).toBe('user\\u202excod.exe\\u200b');
  expect(quoted('a"\n\u2066b', 50)).toBe('"a\\"\\n\\u2066b"');
  expect(quoted('x'.repeat(99), 3)).toBe('"xxx"…');
});
