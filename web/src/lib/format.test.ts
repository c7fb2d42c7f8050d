import { describe, expect, it } from 'vitest';
import { ago, bytes, duration, shortId } from './format';

describe('durations', () => {
  it.each([
    [4.21, '4.2 ms'],
    [850, '850 ms'],
    [3_400, '3.4 s'],
    [125_000, '2 min 5 s'],
    [273_600_000, '3 d 4 h'],
    [60_000, '1 min']
  ])('%d ms is %s', (ms, told) => expect(duration(ms)).toBe(told));
});

it('tells how long ago, and how far ahead', () => {
  const now = Date.parse('2026-01-01T12:00:00Z');
  expect(ago('2026-01-01T11:59:59Z', now)).toBe('just now');
  expect(ago('2026-01-01T11:59:00Z', now)).toBe('1 min ago');
  expect(ago('2026-01-01T15:00:00Z', now)).toBe('in 3 h');
});

it('tells sizes in steps of a thousand', () => {
  expect([bytes(999), bytes(1000), bytes(2_500_000), bytes(120_000)]).toEqual(['999 B', '1.0 KB', '2.5 MB', '120 KB']);
});

it('keeps the part of an id that differs', () =>
  expect(shortId('0192f0c1-0000-7000-8000-0000deadbeef')).toBe('deadbeef'));
