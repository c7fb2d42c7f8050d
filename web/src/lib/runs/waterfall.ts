/** Where the bars of a timeline lie: steps, their attempts and what they waited for, as parts of the time of the run. Pure. */
import type { Step } from './steps';

export type SegmentKind = 'work' | 'wait' | 'retry' | 'failed' | 'unknown';

/** From `left`, so `wide`; both as parts of the whole, 0 to 1. */
export interface Segment {
  kind: SegmentKind;
  left: number;
  width: number;
  fromMs: number;
  toMs: number;
  what: string;
}

export interface Span {
  from: number;
  to: number;
}

/** The time of a run: from its acceptance to its end, or to now. */
export function spanOf(acceptedAt: string, finishedAt: string | null, now: number): Span {
  const from = Date.parse(acceptedAt);
  return { from, to: Math.max(from + 1, finishedAt ? Date.parse(finishedAt) : now) };
}

export function segmentsOf(step: Step, span: Span): Segment[] {
  if (!step.started_at || step.status === 'skipped' || step.status === 'pending') return [];
  const end = step.ended_at ? Date.parse(step.ended_at) : span.to;
  const made: Segment[] = [];
  const add = (kind: SegmentKind, from: number, to: number, what: string): void => {
    const [a, b] = [within(from, span), within(Math.max(from, to), span)];
    const whole = span.to - span.from;
    made.push({
      kind,
      left: (a - span.from) / whole,
      width: (b - a) / whole,
      fromMs: from,
      toMs: Math.max(from, to),
      what
    });
  };
  const at = (moment: string | null | undefined, otherwise: number): number =>
    moment ? Date.parse(moment) : otherwise;

  if (step.attempts.length === 0 && step.waits.length === 0)
    add(step.status === 'failed' ? 'failed' : 'work', Date.parse(step.started_at), end, step.status);
  step.attempts.forEach((attempt, index) => {
    const ended = at(attempt.ended_at, end);
    const kind = attempt.outcome === 'failed' ? 'failed' : attempt.outcome === 'unknown' ? 'unknown' : 'work';
    add(kind, Date.parse(attempt.started_at), ended, `attempt ${attempt.number}: ${attempt.outcome.replace('_', ' ')}`);
    const next = step.attempts[index + 1];
    if (attempt.outcome === 'failed' && (next || attempt.retry_at))
      add('retry', ended, next ? Date.parse(next.started_at) : at(step.ended_at, span.to), `waits to try again`);
  });
  for (const wait of step.waits) {
    const what =
      wait.kind === 'event' ? `event ${wait.event}` : wait.kind === 'run' ? `run of ${wait.workflow}` : 'time';
    add('wait', Date.parse(wait.since), at(wait.ended_at, end), `waits for ${what}`);
  }
  return made;
}

const within = (moment: number, span: Span): number => Math.min(span.to, Math.max(span.from, moment));

const STEPS = [1, 2, 5];

/** Moments for an axis, in ms from the beginning: round numbers, about as many as wanted. */
export function ticksOf(lengthMs: number, wanted = 5): number[] {
  const units = [1, 1000, 60_000, 3_600_000, 86_400_000];
  const unit = units.findLast((size) => size <= lengthMs / 2) ?? 1;
  let step = unit / 1000;
  for (let power = unit / 1000; step < lengthMs / wanted; power *= 10)
    for (const factor of STEPS) if ((step = power * factor) >= lengthMs / wanted) break;
  const ticks: number[] = [];
  for (let at = 0; at < lengthMs; at += step) ticks.push(at);
  return ticks;
}
