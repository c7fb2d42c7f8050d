import { expect, it } from 'vitest';
import type { Look } from './rates';
import { rateOf, throughputOf, withLook } from './rates';

const bucket = (at: string, accepted: number) => ({
  at,
  accepted,
  completed: accepted,
  failed: 0,
  cancelled: 0,
  p50_s: null,
  p95_s: null,
  p99_s: null
});

it('makes rates of counts, also of a time that is not over', () => {
  const told = {
    bucket_s: 60,
    until: '2026-01-01T00:01:30Z',
    buckets: [bucket('2026-01-01T00:00:00Z', 120), bucket('2026-01-01T00:01:00Z', 90)]
  };
  expect(throughputOf(told).accepted).toEqual([2, 3]);
  expect(throughputOf({ ...told, until: '2026-01-01T00:01:05Z' }).accepted).toEqual([2, null]);
});

it('knows no rate of a counter that began anew', () =>
  expect([rateOf(10, 30, 10), rateOf(30, 10, 10), rateOf(1, 2, 0)]).toEqual([2, null, null]));

it('keeps the latest looks, each once', () => {
  const look = (at: number): Look => ({ at, overview: {} as Look['overview'] });
  let looks: Look[] = [];
  for (const at of [1, 2, 2, 3, 4]) looks = withLook(looks, look(at), 3);
  expect(looks.map(({ at }) => at)).toEqual([2, 3, 4]);
});
