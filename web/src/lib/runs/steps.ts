import type { Schemas } from '$lib/api/client';
import { duration } from '$lib/format';
import { addressOfStep } from '$lib/flow/address';
import type { NodeStates, Standing } from '$lib/flow/state';

export type Step = Schemas['Step'];
export type Iteration = Schemas['Iteration'];

/** How long a step took, in ms; of one that is not over, until `now`. Nothing for one that has not begun. */
export function tookMs(step: Pick<Step, 'started_at' | 'ended_at'>, now: number): number | undefined {
  if (!step.started_at) return undefined;
  return Math.max(0, (step.ended_at ? Date.parse(step.ended_at) : now) - Date.parse(step.started_at));
}

/** What the drawing of a definition shows at each node. */
export function statesOf(steps: readonly Step[], now: number): NodeStates {
  return Object.fromEntries(
    steps
      .filter(({ status }) => status !== 'pending')
      .map((step) => {
        const took = tookMs(step, now);
        const note = step.loop
          ? `${step.loop.done}/${step.loop.count}`
          : took === undefined || step.status === 'skipped'
            ? undefined
            : duration(took, 1);
        const error = step.error as { reason?: string } | null;
        const state = {
          standing: step.status as Standing,
          ...(step.port && step.status === 'completed' ? { port: step.port } : {}),
          ...(note ? { note } : {}),
          ...(error?.reason ? { title: error.reason } : {})
        };
        return [addressOfStep(step.path), state];
      })
  );
}
