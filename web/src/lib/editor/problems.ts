/** What the validator says about a draft, by what it concerns. */
import { join, pointed } from '$lib/flow/address';
import { portOf, type Definition } from '$lib/flow/definition';
import { graphAt } from '$lib/flow/address';
import { lineId } from '$lib/flow/drawing';
import type { Mark, Marks } from '$lib/flow/items';

/** As the API tells it. */
export interface Told {
  path: string;
  code: string;
  message: string;
}

export interface Fault extends Told {
  severity: 'error' | 'warning';
  /** The address of the node it is about, if it is about one. */
  address: string | undefined;
  /** What to choose to see it: the node, or the line. */
  item: string | undefined;
  /** Within the node: `.config.url`. */
  rest: string;
}

/** Faults and warnings told about this very definition: paths count its nodes. */
export function faultsOf(judged: Definition, errors: readonly Told[], warnings: readonly Told[]): Fault[] {
  const place = (severity: Fault['severity']) => (told: Told) => {
    const at = pointed(judged, told.path);
    if (!at) return { ...told, severity, address: undefined, item: undefined, rest: '' };
    if (at.edge === undefined) return { ...told, severity, address: at.address, item: at.address, rest: at.rest };
    const edge = graphAt(judged, at.address)?.edges[at.edge];
    const item = edge && lineId(at.address, edge.from, portOf(edge), edge.to);
    const address = edge && join(at.address, edge.from);
    return { ...told, severity, address, item, rest: at.rest };
  };
  return [...errors.map(place('error')), ...warnings.map(place('warning'))];
}

/** The same as marks on nodes. */
export function marksOf(faults: readonly Fault[]): Marks {
  const marks: Record<string, Mark> = {};
  for (const { address, severity, message } of faults) {
    if (address === undefined) continue;
    const known = marks[address] ?? { errors: 0, warnings: 0, text: '' };
    marks[address] = {
      errors: known.errors + (severity === 'error' ? 1 : 0),
      warnings: known.warnings + (severity === 'warning' ? 1 : 0),
      text: known.text ? `${known.text}\n${message}` : message
    };
  }
  return marks;
}
