/** What a person would say differs between two definitions: nodes and edges by name, not lines of JSON. Places count for nothing. */
import { join } from '$lib/flow/address';
import { bodyOf, portOf, type Definition, type EdgeDoc, type Graph, type NodeDoc } from '$lib/flow/definition';

export interface Difference {
  kind: 'added' | 'removed' | 'changed';
  /** Of the node; none for an edge, or the definition itself. */
  address?: string;
  text: string;
  /** What of it, with the value before and the one after; `undefined` where there was or is none. */
  fields?: FieldChange[];
}

export interface FieldChange {
  name: string;
  before: unknown;
  after: unknown;
}

export function differences(before: Definition, after: Definition): Difference[] {
  const found: Difference[] = [];
  compare(before, after, '', found);
  for (const member of ['description', 'settings'] as const) {
    if (!same(before[member], after[member])) {
      const fields = [{ name: member, before: before[member], after: after[member] }];
      found.push({ kind: 'changed', text: member, fields });
    }
  }
  return found;
}

function compare(before: Graph, after: Graph, scope: string, found: Difference[]): void {
  const [old, now] = [byId(before), byId(after)];
  for (const [id, node] of old) {
    const address = join(scope, id);
    const other = now.get(id);
    if (!other) found.push({ kind: 'removed', address, text: `${address} (${node.type})` });
    else if (!same(essence(node), essence(other))) {
      const fields = fieldsOf(node, other);
      const what =
        node.type === other.type ? fields.map(({ name }) => name).join(', ') : `${node.type} became ${other.type}`;
      found.push({ kind: 'changed', address, text: `${address}: ${what}`, fields });
    }
    if (other && node.type === 'loop' && other.type === 'loop') compare(bodyOf(node), bodyOf(other), address, found);
  }
  for (const [id, node] of now) {
    if (!old.has(id))
      found.push({ kind: 'added', address: join(scope, id), text: `${join(scope, id)} (${node.type})` });
  }
  const lines = (graph: Graph): Set<string> => new Set(graph.edges.map((edge) => line(edge, scope)));
  const [from, to] = [lines(before), lines(after)];
  for (const each of from) if (!to.has(each)) found.push({ kind: 'removed', text: each });
  for (const each of to) if (!from.has(each)) found.push({ kind: 'added', text: each });
}

const byId = (graph: Graph): Map<string, NodeDoc> => new Map(graph.nodes.map((node) => [node.id, node]));

const line = (edge: EdgeDoc, scope: string): string =>
  `${join(scope, edge.from)}${portOf(edge) === 'out' ? '' : ` (${portOf(edge)})`} → ${join(scope, edge.to)}`;

/** A node without its place, and a loop without its body, which is compared by itself. */
function essence({ position: _, ...node }: NodeDoc): object {
  if (node.type !== 'loop' || !node.config) return node;
  const { body: __, ...config } = node.config;
  return { ...node, config };
}

function fieldsOf(before: NodeDoc, after: NodeDoc): FieldChange[] {
  const [old, now] = [before.config ?? {}, after.config ?? {}];
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter((name) => name !== 'body');
  return [
    ...names.map((name) => ({ name, before: old[name], after: now[name] })),
    ...(['name', 'timeout_s', 'on_error'] as const).map((name) => ({ name, before: before[name], after: after[name] }))
  ].filter((field) => !same(field.before, field.after));
}

/** Equal as JSON, whatever the order of members. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [keys, others] = [Object.keys(a), Object.keys(b)];
  return (
    keys.length === others.length &&
    keys.every((key) => Object.hasOwn(b, key) && same(a[key as never], b[key as never]))
  );
}
