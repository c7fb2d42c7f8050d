/** Which nodes give what they are pinned to instead of doing their work. Pure. */
import type { Schemas } from '$lib/api/client';
import { isUnder, nodeAt, scopeOf } from '$lib/flow/address';
import { DEFAULT_PORT, type Definition } from '$lib/flow/definition';
import { portsOf } from '$lib/flow/kinds';
import { pinName } from './path';

export type Pin = Schemas['Pin'];
export type Step = Schemas['Step'];

/** By the address of the node. */
export type PinMap = Readonly<Record<string, Pin>>;

/** The pins that a test run of this definition can have: of nodes that are there, and stand in no loop that is pinned itself. */
export function usable(definition: Definition, pins: PinMap): PinMap {
  const pinned = new Set(Object.keys(pins).filter((address) => nodeAt(definition, address)));
  return Object.fromEntries(
    Object.entries(pins).filter(([address]) => pinned.has(address) && !isUnder(scopeOf(address), pinned))
  );
}

/** As the API takes them. */
export const told = (pins: PinMap): Record<string, Pin> =>
  Object.fromEntries(Object.entries(pins).map(([address, pin]) => [pinName(address), pin]));

/** A node that ends the run gives nothing that could be pinned. */
export function canPin(definition: Definition, address: string): boolean {
  const node = nodeAt(definition, address);
  return node !== undefined && portsOf(node).length > 0;
}

/** The steps whose outputs stay when the run is done again from this node on: those that do not follow from it. A loop is done as a whole. */
export function kept(definition: Definition, from: string, steps: readonly Step[]): Step[] {
  const again = followers(definition, from.split('/')[0]!);
  return steps.filter(
    ({ path, status, output }) =>
      status === 'completed' && output !== null && !again.has(path) && canPin(definition, path)
  );
}

/** A node and all that comes behind it. */
function followers({ edges }: Definition, first: string): Set<string> {
  const found = new Set([first]);
  const open = [first];
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    for (const { from, to } of edges) {
      if (from !== id || found.has(to)) continue;
      found.add(to);
      open.push(to);
    }
  }
  return found;
}

/** A step that was pinned already stays pinned to the same; any other gives again what it gave, by the port it was left by. */
export const pinOf = (step: Step, output: unknown, before: PinMap): Pin =>
  before[step.path] ?? { output, port: step.port ?? DEFAULT_PORT };
