import { expect, test } from 'vitest';
import { moments, Story, worst, type Counterexample, type Told } from './told';

let n = 0;
const told = (event: string, at_s: number, members: object = {}): Told => ({
  n: ++n,
  at_us: at_s * 1e6,
  event,
  ...members
});

test('a story is told from the load on, with faults from when they began until they were healed', () => {
  const story = new Story();
  story.take(told('started', 90, { warmup_s: 2, duration_s: 10 }));
  story.take(told('step', 95, { part: 'load', what: 'Sending' }));
  expect(story.beganUs).toBeUndefined();
  expect(story.marks).toEqual([]);
  story.take(told('figures', 101, { t_s: 1, sent: 5, backlog: null }));
  story.take(told('fault', 103, { kind: 'kill-worker', target: 'worker-1', state: 'begun' }));
  expect(story.marks).toEqual([{ label: 'kill-worker', from: 3, to: null }]);
  story.take(told('fault', 104.5, { kind: 'kill-worker', state: 'healed' }));
  story.take(told('incident', 104, { role: 'fault', what: 'kill-worker: worker-1' }));
  story.take(told('incident', 104, { role: 'worker', what: 'started again' }));
  expect(story.marks).toEqual([{ label: 'kill-worker', from: 3, to: 4.5 }]);
  expect(story.incidents.map(({ what }) => what)).toEqual(['worker started again']);
  expect([story.part, story.lastS]).toEqual(['load', 12]);
  expect(story.course((look) => look.sent)).toEqual([5]);
  expect(story.course((look) => look.backlog)).toEqual([null]);
});

test('a violation outweighs everything, and nothing is outweighed by a pass', () => {
  expect(worst(['pass', 'unknown', 'fail', 'invalid'])).toBe('fail');
  expect(worst(['pass', 'unknown'])).toBe('unknown');
  expect(worst(['pass'])).toBe('pass');
  expect(worst([])).toBe('unknown');
});

test('what the ledgers say of a counterexample stands on one axis of time', () => {
  const example = {
    why: 'lost',
    sent: [{ sent_us: 2000, outcome: 'ok', status: 202 }],
    journal: [{ at_us: 1000, type: 'run.accepted', seq: 1, epoch: 0, event: 'x'.repeat(1000) }],
    leases: [{ taken_us: null, owner: 'w' }]
  } as unknown as Counterexample;
  const rows = moments(example);
  expect(rows.map(({ after, ledger }) => [after, ledger])).toEqual([
    [0, 'journal'],
    [1, 'sender'],
    [null, 'leases']
  ]);
  expect(rows[1]!.detail).toBe('outcome ok · status 202');
  expect(rows[0]!.detail.length).toBeLessThan(410);
  expect(moments({ why: 'nothing is known' })).toEqual([]);
});
