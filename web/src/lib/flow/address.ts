/**
 * Where a node stands: ids joined by `/`, so `each/charge` is the node `charge` in the body of the loop `each`.
 * A *scope* is the address of a loop, or `''` for the definition itself.
 */
import { bodyOf, isObject, TRIGGER, type Definition, type Graph, type NodeDoc } from './definition';

export const join = (scope: string, id: string): string => (scope ? `${scope}/${id}` : id);
export const scopeOf = (address: string): string => address.slice(0, Math.max(0, address.lastIndexOf('/')));
export const idOf = (address: string): string => address.slice(address.lastIndexOf('/') + 1);
export const isTrigger = (address: string): boolean => idOf(address) === TRIGGER;
export const isWithin = (address: string, scope: string): boolean => scope === '' || address.startsWith(`${scope}/`);

/** Whether it stands in one of these, or is one of them. */
export function isUnder(address: string, addresses: ReadonlySet<string>): boolean {
  for (let at = address; at; at = scopeOf(at)) if (addresses.has(at)) return true;
  return false;
}

/** The graph of a scope; nothing where no such loop is. */
export function graphAt(definition: Definition, scope: string): Graph | undefined {
  let graph: Graph | undefined = definition;
  if (scope === '') return graph;
  for (const id of scope.split('/')) {
    const loop: NodeDoc | undefined = graph?.nodes.find((node) => node.id === id);
    graph = loop?.type === 'loop' ? bodyOf(loop) : undefined;
  }
  return graph;
}

export const nodeAt = (definition: Definition, address: string): NodeDoc | undefined =>
  graphAt(definition, scopeOf(address))?.nodes.find((node) => node.id === idOf(address));

/** The address of the node a step of a run is of: `each[3].charge` is a step of `each/charge`. */
export const addressOfStep = (path: string): string => path.replaceAll(/\[\d+\]\./g, '/');

/** What the JSON path of a fault points at: `$.nodes[1].config.body.edges[0].to` is an edge in the body of the second node. */
export interface Pointed {
  /** Of the node, or the scope of the edge. */
  address: string;
  edge?: number;
  /** What stands behind it, such as `.config.url`. */
  rest: string;
}

export function pointed(definition: Definition, path: string): Pointed | undefined {
  let graph: Graph | undefined = definition;
  let address = '';
  let rest = path.replace(/^\$/, '');
  for (;;) {
    const edge = /^\.edges\[(\d+)\]/.exec(rest);
    if (edge) return { address, edge: Number(edge[1]), rest: rest.slice(edge[0].length) };
    const step = /^\.nodes\[(\d+)\]/.exec(rest);
    const node: NodeDoc | undefined = step ? graph?.nodes[Number(step[1])] : undefined;
    if (!step || !node) return address ? { address, rest } : undefined;
    address = join(address, node.id);
    rest = rest.slice(step[0].length);
    if (node.type !== 'loop' || !/^\.config\.body\.(nodes|edges)\[/.test(rest) || !isObject(node.config?.body)) {
      return { address, rest };
    }
    graph = bodyOf(node);
    rest = rest.slice('.config.body'.length);
  }
}
