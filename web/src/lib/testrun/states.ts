/** Steps of a run as the canvas shows them. Pure. */
import { addressOfStep } from '$lib/flow/address';
import type { NodeState, NodeStates, Standing } from '$lib/flow/state';
import { duration } from '$lib/format';
import { errorText } from '$lib/runs/error';
import { ofItems, ofLoop } from '$lib/runs/items';
import type { PinMap, Step } from './pins';

/**
 * Where each node stands. `steps` are those of the run and, for nodes within loops, of the items that were looked at.
 * What is the same as `before` stays the same object, so that only what changed is drawn anew.
 */
export function statesOf(steps: readonly Step[], pins: PinMap, before: NodeStates = {}): NodeStates {
  const byAddress = new Map<string, Step[]>();
  for (const step of steps) {
    if (step.status === 'pending') continue;
    const address = addressOfStep(step.path);
    const known = byAddress.get(address);
    if (known) known.push(step);
    else byAddress.set(address, [step]);
  }
  const states: Record<string, NodeState> = {};
  for (const [address, found] of byAddress) {
    const state = address.includes('/') ? ofItems(found) : ofStep(found[0]!, pins[address]?.port);
    const old = before[address];
    states[address] = old && isSame(old, state) ? old : state;
  }
  return states;
}

function ofStep(step: Step, pinnedPort: string | undefined): NodeState {
  // A pinned node is run as one that leaves by its default port.
  const port = pinnedPort ?? step.port ?? undefined;
  const state = made(step.status as Standing, port, noteOf(step), errorText(step.error));
  return step.loop ? { ...ofLoop(step.loop), ...state } : state;
}

function made(standing: Standing, port?: string, note?: string, title?: string): NodeState {
  return { standing, ...(port !== undefined && { port }), ...(note && { note }), ...(title && { title }) };
}

function noteOf({ loop, attempts, waits, started_at, ended_at }: Step): string | undefined {
  if (loop) return undefined;
  if (!started_at || !ended_at || !(attempts.length || waits.length)) return undefined;
  return duration(Date.parse(ended_at) - Date.parse(started_at), 1);
}

const isSame = (a: NodeState, b: NodeState): boolean =>
  a.standing === b.standing && a.port === b.port && a.note === b.note && a.title === b.title && a.warns === b.warns;
