/** Figures as charts want them. Pure. */
import type { Schemas } from '$lib/api/client';

type Bucket = Schemas['Bucket'];

export interface Throughput {
  times: number[];
  accepted: (number | null)[];
  completed: (number | null)[];
  failed: (number | null)[];
}

/** Runs a second in each time; of the last one, which may not be over, as far as it is. */
export function throughputOf({
  buckets,
  bucket_s,
  until
}: Pick<Schemas['Statistics'], 'buckets' | 'bucket_s' | 'until'>): Throughput {
  const end = Date.parse(until) / 1000;
  const times = buckets.map(({ at }) => Date.parse(at) / 1000);
  const rates = (of: (bucket: Bucket) => number): (number | null)[] =>
    buckets.map((bucket, index) => {
      const seconds = Math.min(bucket_s, end - times[index]!);
      // A rate over a moment is noise.
      return seconds < bucket_s / 4 && index > 0 ? null : of(bucket) / Math.max(seconds, 1e-3);
    });
  return {
    times,
    accepted: rates(({ accepted }) => accepted),
    completed: rates(({ completed }) => completed),
    failed: rates(({ failed }) => failed)
  };
}

/** Values of the same place in two looks, as a rate; nothing when the counter began anew. */
export function rateOf(before: number, after: number, seconds: number): number | null {
  return seconds <= 0 || after < before ? null : (after - before) / seconds;
}

export interface Look {
  at: number;
  overview: Schemas['Overview'];
}

/** One look more, the oldest forgotten; the same moment told again is no new look. */
export function withLook(looks: readonly Look[], look: Look, most: number): Look[] {
  if (looks.at(-1)?.at === look.at) return [...looks];
  return [...looks, look].slice(-most);
}
