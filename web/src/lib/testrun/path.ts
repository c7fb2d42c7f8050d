/** Steps of a run and nodes of the canvas: the step `each[3].charge` is of the node `each/charge`. */
import { scopeOf } from '$lib/flow/address';

/** The step of a node, for the items of the loops it stands in, outermost first. */
export function stepPath(address: string, items: readonly number[]): string {
  const ids = address.split('/');
  return ids.map((id, at) => (at < ids.length - 1 ? `${id}[${items[at] ?? 0}]` : id)).join('.');
}

/** Of the step of the loop it stands in, and nothing for a step of no loop. */
export const loopPath = (address: string, items: readonly number[]): string | undefined =>
  scopeOf(address) ? stepPath(scopeOf(address), items) : undefined;

/** How a test run calls a node that is pinned: `each/charge` is `each.charge`. */
export const pinName = (address: string): string => address.replaceAll('/', '.');
export const addressOfPin = (name: string): string => name.replaceAll('.', '/');
