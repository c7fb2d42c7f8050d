/** Every change of a definition, as a function from one to the next. Nothing is changed in place; what stays the same is the same object. */
import { idOf, isTrigger, isUnder, join, nodeAt, scopeOf } from '$lib/flow/address';
import {
  bodyOf,
  isId,
  portOf,
  TRIGGER,
  DEFAULT_PORT,
  type Definition,
  type EdgeDoc,
  type Graph,
  type NodeDoc
} from '$lib/flow/definition';
import { extentOf, GRID, lineId, placeOf, resolved, sizeOf, type Places, type Point } from '$lib/flow/drawing';
import { KINDS, portsOf } from '$lib/flow/kinds';
import { renameInConfig, type Path } from './references';
import { refusalOf, type Connection } from './rules';

/** The graph of a scope exchanged, and with it every loop around it. */
export function changeGraph(definition: Definition, scope: string, change: (graph: Graph) => Graph): Definition {
  if (scope === '') {
    const changed = change(definition);
    return changed === definition ? definition : { ...definition, ...changed };
  }
  return changeNode(definition, scope, (loop) => {
    const body = bodyOf(loop);
    const changed = change(body);
    return changed === body ? loop : { ...loop, config: { ...loop.config, body: changed } };
  });
}

export function changeNode(definition: Definition, address: string, change: (node: NodeDoc) => NodeDoc): Definition {
  return changeGraph(definition, scopeOf(address), (graph) => {
    const nodes = graph.nodes.map((node) => (node.id === idOf(address) ? change(node) : node));
    return nodes.some((node, at) => node !== graph.nodes[at]) ? { ...graph, nodes } : graph;
  });
}

/** An id like this one that no node of the graph has, nor any of `taken`. */
export function freshId(graph: Graph, stem: string, taken: ReadonlySet<string> = new Set()): string {
  const used = new Set([...graph.nodes.map((node) => node.id), ...taken]);
  const base = isId(stem) ? stem : 'node';
  for (let number = 1; ; number++) {
    const suffix = number === 1 ? '' : `_${number}`;
    const id = base.replace(/_\d+$/, number === 1 ? '$&' : '').slice(0, 64 - suffix.length) + suffix;
    if (!used.has(id)) return id;
  }
}

export interface Added {
  definition: Definition;
  address: string;
}

/**
 * A new node of a type in a scope: at a place of that graph, or behind a node.
 * `behind` connects it with a port of that node (by default its first that nothing leaves by yet, else its first), if that can be.
 */
export function add(
  definition: Definition,
  type: string,
  {
    scope = '',
    at,
    behind,
    port
  }: { scope?: string; at?: Point | undefined; behind?: string | undefined; port?: string | undefined } = {}
): Added {
  const inside = behind === undefined ? scope : scopeOf(behind);
  const graph = graphIn(definition, inside);
  const id = freshId(graph, type === 'http_call' ? 'call' : type);
  const place = at ?? freePlace(graph, inside, behind === undefined ? undefined : idOf(behind));
  const node: NodeDoc = { id, type, config: KINDS[type]?.fresh ?? {}, position: rounded(place) };
  let made = keepingPlaces(definition, inside, (each) => ({ ...each, nodes: [...each.nodes, node] }));
  const address = join(inside, id);
  const from = behind ?? (graph.nodes.length === 0 ? join(inside, TRIGGER) : undefined);
  const by = from === undefined ? undefined : (port ?? freePort(graph, idOf(from)));
  if (from !== undefined && by !== undefined) {
    const connection = { source: from, port: by, target: address };
    if (!refusalOf(made, connection)) made = connect(made, connection);
  }
  return { definition: made, address };
}

/** Where several paths leave a node: the first port nothing leaves by. */
function freePort(graph: Graph, id: string): string | undefined {
  if (id === TRIGGER) return DEFAULT_PORT;
  const node = graph.nodes.find((each) => each.id === id);
  const ports = node ? portsOf(node) : [];
  return ports.find((port) => !graph.edges.some((edge) => edge.from === id && portOf(edge) === port)) ?? ports[0];
}

/** Behind a node, or below everything; not on another. */
function freePlace(graph: Graph, scope: string, behind: string | undefined): Point {
  if (graph.nodes.length === 0) return { x: 0, y: 0 };
  const at = resolved(graph, scope);
  const { origin, end } = extentOf(graph, scope);
  const before =
    behind === undefined || behind === TRIGGER ? undefined : graph.nodes.find((node) => node.id === behind);
  let place: Point;
  if (before) {
    const from = at.get(before.id)!;
    place = { x: from.x + sizeOf(before, join(scope, before.id)).width + 64, y: from.y };
  } else {
    place = { x: origin.x + 112 + 64, y: behind === undefined ? end.y + 32 : origin.y };
  }
  const covered = (point: Point): boolean =>
    graph.nodes.some((node) => {
      const other = at.get(node.id)!;
      const size = sizeOf(node, join(scope, node.id));
      return (
        point.x < other.x + size.width + 16 &&
        other.x < point.x + 240 &&
        point.y < other.y + size.height + 16 &&
        other.y < point.y + 96
      );
    });
  while (covered(place)) place = { x: place.x, y: place.y + GRID * 2 };
  return place;
}

const rounded = ({ x, y }: Point): Point => ({ x: Math.round(x), y: Math.round(y) });

function graphIn(definition: Definition, scope: string): Graph {
  if (scope === '') return definition;
  const loop = nodeAt(definition, scope);
  if (loop?.type !== 'loop') throw new Error(`There is no loop “${scope}”`);
  return bodyOf(loop);
}

/**
 * A change in a graph during which what stands around it stays where it is seen. All nodes get the places they are drawn at, for places
 * that are made up depend on all others. And as a loop is drawn from the left and top of its body on, it moves as they do.
 */
function keepingPlaces(definition: Definition, scope: string, change: (graph: Graph) => Graph): Definition {
  const before = graphIn(definition, scope);
  const after = change(pinned(before, scope));
  const changed = changeGraph(definition, scope, () => after);
  if (scope === '') return changed;
  const [old, now] = [extentOf(before, scope).origin, extentOf(after, scope).origin];
  const by = before.nodes.length === 0 ? { x: 0, y: 0 } : { x: now.x - old.x, y: now.y - old.y };
  if (by.x === 0 && by.y === 0) return changed;
  return keepingPlaces(changed, scopeOf(scope), (graph) => ({
    ...graph,
    nodes: graph.nodes.map((node) =>
      node.id === idOf(scope) ? { ...node, position: shifted(node.position!, by) } : node
    )
  }));
}

const shifted = (point: Point, by: Point): Point => rounded({ x: point.x + by.x, y: point.y + by.y });

function pinned(graph: Graph, scope: string): Graph {
  if (graph.nodes.every(placeOf)) return graph;
  const at = resolved(graph, scope);
  return {
    ...graph,
    nodes: graph.nodes.map((node) => (placeOf(node) ? node : { ...node, position: rounded(at.get(node.id)!) }))
  };
}

/** Nodes by their addresses and lines by their ids are taken away, and every edge of those nodes. */
export function remove(definition: Definition, items: ReadonlySet<string>): Definition {
  return within(definition, '', (graph, scope) => {
    const gone = new Set(graph.nodes.map((node) => node.id).filter((id) => items.has(join(scope, id))));
    const edges = graph.edges.filter(
      (edge) =>
        !gone.has(edge.from) && !gone.has(edge.to) && !items.has(lineId(scope, edge.from, portOf(edge), edge.to))
    );
    if (gone.size === 0 && edges.length === graph.edges.length) return graph;
    return { ...graph, nodes: graph.nodes.filter((node) => !gone.has(node.id)), edges };
  });
}

/** A change of every graph, that of a loop after the one it stands in. Graphs that come back as they are stay the same objects. */
export function within(
  definition: Definition,
  scope: string,
  change: (graph: Graph, scope: string) => Graph
): Definition {
  const deep = (graph: Graph, at: string): Graph => {
    const changed = change(graph, at);
    let same = true;
    const nodes = changed.nodes.map((node) => {
      if (node.type !== 'loop') return node;
      const body = bodyOf(node);
      const now = deep(body, join(at, node.id));
      if (now === body) return node;
      same = false;
      return { ...node, config: { ...node.config, body: now } };
    });
    return same ? changed : { ...changed, nodes };
  };
  const graph = graphIn(definition, scope);
  const changed = deep(graph, scope);
  return changed === graph ? definition : changeGraph(definition, scope, () => changed);
}

/** @throws Error with the reason when it can't be made */
export function connect(definition: Definition, connection: Connection): Definition {
  const reason = refusalOf(definition, connection);
  if (reason) throw new Error(reason);
  const { source, port, target } = connection;
  const edge: EdgeDoc = { from: idOf(source), ...(port === DEFAULT_PORT ? {} : { port }), to: idOf(target) };
  return changeGraph(definition, scopeOf(source), (graph) => ({ ...graph, edges: [...graph.edges, edge] }));
}

/** Nodes moved to these places, each within the graph it stands in. */
export function move(definition: Definition, places: Places): Definition {
  const scopes = [...new Set(Object.keys(places).map(scopeOf))].sort((a, b) => b.length - a.length); // inner ones first
  return scopes.reduce(
    (made, scope) =>
      keepingPlaces(made, scope, (graph) => ({
        ...graph,
        nodes: graph.nodes.map((node) => {
          const to = places[join(scope, node.id)];
          return to ? { ...node, position: rounded(to) } : node;
        })
      })),
    definition
  );
}

/** Every node put where a layout says; nothing stays where it is seen. */
export function arranged(definition: Definition, places: Places): Definition {
  return within(definition, '', (graph, scope) => ({
    ...graph,
    nodes: graph.nodes.map((node) => {
      const to = places[join(scope, node.id)];
      return to ? { ...node, position: rounded(to) } : node;
    })
  }));
}

/** A node with some members exchanged; `undefined` takes one away. Edges follow ports that are renamed, and go with ports that go. */
export function setNode(
  definition: Definition,
  address: string,
  members: Partial<Omit<NodeDoc, 'id' | 'type'>>
): Definition {
  const node = nodeAt(definition, address);
  if (!node) return definition;
  const merged: Record<string, unknown> = { ...node, ...members };
  for (const [name, value] of Object.entries(merged)) if (value === undefined) delete merged[name];
  const changed = merged as unknown as NodeDoc;
  const ports = portChanges(portsOf(node), portsOf(changed));
  return changeGraph(definition, scopeOf(address), (graph) => ({
    ...graph,
    nodes: graph.nodes.map((each) => (each.id === node.id ? changed : each)),
    edges: ports.size === 0 ? graph.edges : graph.edges.flatMap((edge) => followed(edge, node.id, ports))
  }));
}

export const setConfig = (definition: Definition, address: string, config: NodeDoc['config']): Definition =>
  setNode(definition, address, { config });

/** Old ports that are gone, with what they are called now: as many as before, and one of them new, is a renaming. */
function portChanges(before: readonly string[], after: readonly string[]): Map<string, string | undefined> {
  const gone = before.filter((port) => !after.includes(port));
  const fresh = after.filter((port) => !before.includes(port));
  const renamed = gone.length === 1 && fresh.length === 1 && before.indexOf(gone[0]!) === after.indexOf(fresh[0]!);
  return new Map(gone.map((port) => [port, renamed ? fresh[0] : undefined]));
}

function followed(edge: EdgeDoc, id: string, ports: ReadonlyMap<string, string | undefined>): EdgeDoc[] {
  if (edge.from !== id || !ports.has(portOf(edge))) return [edge];
  const port = ports.get(portOf(edge));
  return port === undefined ? [] : [{ ...edge, port }];
}

/** Why a node can't have this id; nothing when it can. */
export function renameRefusal(definition: Definition, address: string, id: string): string | undefined {
  if (id === TRIGGER) return `“${TRIGGER}” is the start of every path.`;
  if (!isId(id)) return 'An id has letters, digits and _, does not begin with a digit, and has at most 64 characters.';
  if (id === idOf(address)) return undefined;
  const taken = graphIn(definition, scopeOf(address)).nodes.some((node) => node.id === id);
  return taken ? `Another node has the id “${id}” already.` : undefined;
}

/**
 * A node gets another id; edges and expressions that name it follow.
 * @throws Error with the reason when it can't have it
 */
export function rename(definition: Definition, address: string, id: string): Added {
  const reason = renameRefusal(definition, address, id);
  if (reason) throw new Error(reason);
  const [scope, old] = [scopeOf(address), idOf(address)];
  const renamed = changeGraph(definition, scope, (graph) => renamedIn(graph, old, id));
  return { definition: renamed, address: join(scope, id) };
}

function renamedIn(graph: Graph, old: string, id: string): Graph {
  const ways = meetings(graph, old);
  return {
    ...graph,
    nodes: graph.nodes.map((node) => {
      const renamed = node.id === old ? { ...node, id } : node;
      return followIn(renamed, [['steps', old], ...(ways.get(node.id) ?? [])], id, old);
    }),
    edges: graph.edges.map((edge) =>
      edge.from !== old && edge.to !== old
        ? edge
        : { ...edge, from: edge.from === old ? id : edge.from, to: edge.to === old ? id : edge.to }
    )
  };
}

/** The expressions of a node and, in a loop, of its body: unless a node there has the same id, and so hides the one outside. */
function followIn(node: NodeDoc, paths: readonly Path[], id: string, old: string): NodeDoc {
  if (!node.config) return node;
  let config = renameInConfig(node.type, node.config, paths, id);
  if (node.type === 'loop') {
    const body = bodyOf(node);
    if (!body.nodes.some((each) => each.id === old)) {
      const nodes = body.nodes.map((each) => followIn(each, [['steps', old]], id, old));
      if (nodes.some((each, at) => each !== body.nodes[at])) config = { ...config, body: { ...body, nodes } };
    }
  }
  return config === node.config ? node : { ...node, config };
}

/** Where the output of a node is a member of another's `input`: where paths meet, and behind a join of all. */
function meetings(graph: Graph, old: string): Map<string, Path[]> {
  const into = new Map<string, Set<string>>();
  for (const edge of graph.edges) into.set(edge.to, (into.get(edge.to) ?? new Set()).add(edge.from));
  const found = new Map<string, Path[]>();
  const note = (id: string, path: Path): void => void found.set(id, [...(found.get(id) ?? []), path]);
  for (const node of graph.nodes) {
    const from = into.get(node.id);
    if (!from?.has(old)) continue;
    const joins = node.type === 'join' && node.config?.mode !== 'any';
    if (from.size > 1) note(node.id, ['input', old]);
    if (!joins) continue;
    for (const other of graph.nodes) {
      note(other.id, ['steps', node.id, old]);
      const before = into.get(other.id);
      if (before?.has(node.id)) note(other.id, before.size > 1 ? ['input', node.id, old] : ['input', old]);
    }
  }
  return found;
}

/** Nodes as they are copied: also to another tab, as text on the clipboard. */
export interface Clip {
  meshhook: 'nodes';
  nodes: readonly NodeDoc[];
  edges: readonly EdgeDoc[];
}

/** Nodes of one graph, and the edges between them. What stands in a chosen loop comes with it. */
export function copy(definition: Definition, addresses: Iterable<string>): Clip | undefined {
  const chosen = new Set([...addresses].filter((address) => !isTrigger(address) && nodeAt(definition, address)));
  const outer = [...chosen].filter((address) => !isUnder(scopeOf(address), chosen));
  const first = outer[0];
  if (first === undefined) return undefined;
  const scope = scopeOf(first);
  const graph = graphIn(definition, scope);
  const ids = new Set(outer.filter((address) => scopeOf(address) === scope).map(idOf));
  const at = resolved(graph, scope);
  return {
    meshhook: 'nodes',
    nodes: graph.nodes
      .filter(({ id }) => ids.has(id))
      .map((node) => ({ ...node, position: rounded(at.get(node.id)!) })),
    edges: graph.edges.filter((edge) => ids.has(edge.from) && ids.has(edge.to))
  };
}

export interface Pasted {
  definition: Definition;
  addresses: string[];
}

/** Copied nodes put into a scope, with ids that are free there; their expressions follow. Around a place, or a little aside. */
export function paste(definition: Definition, clip: Clip, scope: string, at?: Point): Pasted {
  const graph = graphIn(definition, scope);
  let pasted: Graph = { nodes: clip.nodes, edges: clip.edges };
  const ids: string[] = [];
  const own = new Set(clip.nodes.map((node) => node.id));
  for (const { id } of clip.nodes) {
    const fresh = freshId(graph, id, new Set([...ids, ...[...own].filter((other) => other !== id)]));
    if (fresh !== id) pasted = renamedIn(pasted, id, fresh);
    ids.push(fresh);
  }
  const places = pasted.nodes.map((node) => placeOf(node) ?? { x: 0, y: 0 });
  const corner = { x: Math.min(...places.map((p) => p.x)), y: Math.min(...places.map((p) => p.y)) };
  let by = at ? { x: at.x - corner.x, y: at.y - corner.y } : { x: 0, y: 0 };
  const taken = new Set([...resolved(graph, scope).values()].map(({ x, y }) => `${x} ${y}`));
  while (places.some((place) => taken.has(`${place.x + by.x} ${place.y + by.y}`))) by = { x: by.x + 32, y: by.y + 32 };
  const nodes = pasted.nodes.map((node, index) => ({ ...node, position: rounded(shifted(places[index]!, by)) }));
  return {
    definition: keepingPlaces(definition, scope, (each) => ({
      ...each,
      nodes: [...each.nodes, ...nodes],
      edges: [...each.edges, ...pasted.edges]
    })),
    addresses: ids.map((id) => join(scope, id))
  };
}

/** Members of the definition itself; `undefined` takes one away. */
export function setMembers(
  definition: Definition,
  members: Partial<Pick<Definition, 'description' | 'settings'>>
): Definition {
  const merged: Record<string, unknown> = { ...definition, ...members };
  for (const [name, value] of Object.entries(merged)) if (value === undefined) delete merged[name];
  return merged as unknown as Definition;
}
