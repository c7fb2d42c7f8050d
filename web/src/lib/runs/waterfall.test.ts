import { describe, expect, it } from 'vitest';
import { stepOf } from './stepsample';
import { segmentsOf, spanOf, ticksOf } from './waterfall';

const T = (seconds: number): string => new Date(Date.UTC(2026, 0, 1) + seconds * 1000).toISOString();
const span = spanOf(T(0), T(10), 0);

describe('the bars of a step', () => {
  it('are its attempts and the time between them', () => {
    const attempt = { sent: null, error: null, retry_at: null };
    const step = stepOf({
      status: 'completed',
      started_at: T(1),
      ended_at: T(9),
      attempts: [
        { ...attempt, number: 1, started_at: T(1), ended_at: T(2), outcome: 'failed', retry_at: T(6) },
        { ...attempt, number: 2, started_at: T(6), ended_at: T(9), outcome: 'succeeded' }
      ]
    });
    expect(segmentsOf(step, span).map(({ kind, left, width }) => [kind, left, width])).toEqual([
      ['failed', 0.1, 0.1],
      ['retry', 0.2, 0.4],
      ['work', 0.6, 0.3]
    ]);
  });

  it('that goes on reach until now, and nothing lies outside', () => {
    const step = stepOf({ status: 'waiting', started_at: T(8), waits: [] });
    expect(segmentsOf(step, span)).toMatchObject([{ kind: 'work', left: 0.8, width: 0.2 }]);
    const early = stepOf({ status: 'completed', started_at: T(-5), ended_at: T(2) });
    expect(segmentsOf(early, span)).toMatchObject([{ left: 0, width: 0.2 }]);
  });

  it('that was not done has none', () =>
    expect(segmentsOf(stepOf({ status: 'skipped', started_at: T(1) }), span)).toEqual([]));
});

it('a run without length has a span that can be divided by', () => {
  const none = spanOf(T(0), T(0), 0);
  expect(none.to - none.from).toBe(1);
});

describe('the axis', () => {
  it.each([
    [10_000, [0, 2000, 4000, 6000, 8000]],
    [300_000, [0, 60_000, 120_000, 180_000, 240_000]],
    [4, [0, 1, 2, 3]]
  ])('of %d ms', (length, ticks) => expect(ticksOf(length)).toEqual(ticks));

  it('has a handful of ticks, however long', () => {
    for (let length = 1; length < 1e10; length *= 3) {
      const { length: ticks } = ticksOf(length);
      expect(ticks).toBeGreaterThan(1);
      expect(ticks).toBeLessThanOrEqual(6);
    }
  });
});
