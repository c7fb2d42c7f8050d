import { describe, expect, it } from 'vitest';
import { scrollTo, windowOf } from './window';

describe('the window of a list', () => {
  it('draws what is in sight and some rows more', () =>
    expect(windowOf(4000, 400, 40, 100_000, 5)).toEqual({ first: 95, end: 115, top: 3800, height: 4_000_000 }));

  it('begins and ends with the list', () => {
    expect(windowOf(0, 400, 40, 3)).toEqual({ first: 0, end: 3, top: 0, height: 120 });
    expect(windowOf(0, 400, 40, 0)).toEqual({ first: 0, end: 0, top: 0, height: 0 });
  });

  it('draws something sensible when the list became shorter than the place scrolled to', () => {
    const { first, end } = windowOf(90_000, 400, 40, 10);
    expect([first, end]).toEqual([2, 10]);
  });
});

it('scrolls no further than needed', () => {
  expect(scrollTo(2, 0, 400, 40)).toBe(0);
  expect(scrollTo(2, 200, 400, 40)).toBe(80);
  expect(scrollTo(20, 0, 400, 40)).toBe(440);
});
