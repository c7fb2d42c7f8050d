import type { Step } from './steps';

/** A step for tests: what is not said is as of one that has not begun. */
export const stepOf = (said: Partial<Step>): Step => ({
  path: 'a',
  node: 'a',
  type: 'transform',
  status: 'pending',
  started_at: null,
  ended_at: null,
  port: null,
  taken_over: false,
  deadline_at: null,
  input_from: [],
  attempts: [],
  waits: [],
  loop: null,
  input: null,
  output: null,
  error: null,
  ...said
});
