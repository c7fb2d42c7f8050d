import type { Schemas } from '$lib/api/client';
import { duration } from '$lib/format';
import { addressOfStep } from '$lib/flow/address';
import { errorText } from './error';
import { ofItems, ofLoop } from './items';
import type { NodeState, NodeStates, Standing } from '$lib/flow/state';

export type Step = Schemas['Step'];
export type Iteration = Schemas['Iteration'];

/** How long a step took, in ms; of one that is not over, until `now`. Nothing for one that has not begun. */
export function tookMs(step: Pick<Step, 'started_at' | 'ended_at'>, now: number): number | undefined {
  if (!step.started_at) return undefined;
  return Math.max(0, (step.ended_at ? Date.parse(step.ended_at) : now) - Date.parse(step.started_at));
}

/** What the drawing of a definition shows at each node. `steps`: of the run, and of items of its loops. */
export function statesOf(steps: readonly Step[], now: number): NodeStates {
  const byAddress = new Map<string, Step[]>();
  for (const step of steps) {
    if (step.status === 'pending') continue;
    const address = addressOfStep(step.path);
    byAddress.set(address, [...(byAddress.get(address) ?? []), step]);
  }
  return Object.fromEntries(
    [...byAddress].map(([address, found]) => [
      address,
      address.includes('/') ? ofItems(found) : stateOf(found[0]!, now)
    ])
  );
}

function stateOf(step: Step, now: number): NodeState {
  const took = step.loop || step.status === 'skipped' ? undefined : tookMs(step, now);
  const error = errorText(step.error);
  return {
    standing: step.status as Standing,
    ...(step.port && step.status === 'completed' ? { port: step.port } : {}),
    ...(took === undefined ? {} : { note: duration(took, 1) }),
    ...(step.loop ? ofLoop(step.loop) : {}),
    ...(error ? { title: error } : {})
  };
}
