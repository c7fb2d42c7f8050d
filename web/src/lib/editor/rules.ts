/** Which connections can be made, and why others can't: early help. The validator of the server stays the judge. */
import { graphAt, idOf, scopeOf } from '$lib/flow/address';
import { portOf, TRIGGER, type Definition, type Graph } from '$lib/flow/definition';
import { portsOf } from '$lib/flow/kinds';

/** From a port of the node at one address to the node at another. */
export interface Connection {
  source: string;
  port: string;
  target: string;
}

/** Why a connection can't be made, as a sentence; nothing when it can. */
export function refusalOf(definition: Definition, { source, port, target }: Connection): string | undefined {
  const [from, to] = [idOf(source), idOf(target)];
  const scope = scopeOf(source);
  if (scope !== scopeOf(target)) return crossing(source, target);
  const graph = graphAt(definition, scope);
  if (!graph) return `There is no loop “${scope}”.`;
  if (to === TRIGGER) return 'Nothing can lead to the start: every path begins there.';
  if (!graph.nodes.some((node) => node.id === to)) return `There is no node “${to}”.`;
  if (from === to) return 'A node cannot lead to itself. To do something again and again, use a loop.';
  const fault = portFault(graph, from, port);
  if (fault) return fault;
  if (graph.edges.some((edge) => edge.from === from && portOf(edge) === port && edge.to === to)) {
    return `“${from}” leads to “${to}” from this port already.`;
  }
  if (leadsTo(graph, to, from)) {
    return `“${to}” leads to “${from}” already, so both would wait for each other. To do something again and again, use a loop.`;
  }
  return undefined;
}

function crossing(source: string, target: string): string {
  const loop = idOf(scopeOf(source).length > scopeOf(target).length ? scopeOf(source) : scopeOf(target));
  return `A connection cannot cross the border of the loop “${loop}”. What it gives leaves by its own port, and comes in by “Each item”.`;
}

function portFault(graph: Graph, from: string, port: string): string | undefined {
  if (from === TRIGGER) return undefined;
  const node = graph.nodes.find(({ id }) => id === from);
  if (!node) return `There is no node “${from}”.`;
  const ports = portsOf(node);
  if (ports.includes(port)) return undefined;
  if (ports.length === 0) return `“${from}” ends the run: nothing can follow it.`;
  return `“${from}” has no port “${port}”; it has ${ports.map((each) => `“${each}”`).join(', ')}.`;
}

/** Whether a path leads from one node to another. */
export function leadsTo(graph: Graph, from: string, to: string): boolean {
  const targets = new Map<string, string[]>();
  for (const edge of graph.edges) {
    const known = targets.get(edge.from);
    if (known) known.push(edge.to);
    else targets.set(edge.from, [edge.to]);
  }
  const seen = new Set([from]);
  const waiting = [from];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (id === to) return true;
    for (const next of targets.get(id) ?? []) {
      if (!seen.has(next)) {
        seen.add(next);
        waiting.push(next);
      }
    }
  }
  return false;
}
