/**
 * Automatic layout by the Eclipse Layout Kernel, in a worker: left to right, ports in their order, loops around their bodies.
 * It is loaded when something is to be laid out, and not before.
 */
import type { ElkNode } from 'elkjs/lib/elk-api';
import { join } from './address';
import { bodyOf, TRIGGER, type Definition, type Graph } from './definition';
import { GRID, placeOf, portPlaces, sizeOf, TRIGGER_SIZE, type Places, type Point, type Size } from './drawing';

const NODES_MAX = 1_500; // beyond, laying out takes minutes; what is drawn then is in columns
const OPTIONS: Readonly<Record<string, string>> = {
  'elk.algorithm': 'layered',
  'elk.direction': 'RIGHT',
  'elk.layered.spacing.nodeNodeBetweenLayers': '64',
  'elk.spacing.nodeNode': '32',
  'elk.spacing.componentComponent': '48',
  'elk.layered.nodePlacement.strategy': 'NETWORK_SIMPLEX',
  'elk.layered.considerModelOrder.strategy': 'NODES_AND_EDGES',
  'elk.layered.crossingMinimization.forceNodeModelOrder': 'false'
};

export type Layout = (graph: ElkNode) => Promise<ElkNode>;

/** Whether a graph has nodes and none of them a place. */
const isUnplaced = (graph: Graph): boolean => graph.nodes.length > 0 && !graph.nodes.some(placeOf);

export function needsLayout(definition: Definition): boolean {
  const unplaced = (graph: Graph): boolean =>
    isUnplaced(graph) || graph.nodes.some((node) => node.type === 'loop' && unplaced(bodyOf(node)));
  return unplaced(definition);
}

/**
 * Places for the nodes of graphs in which none has one, or, with `all`, for every node.
 * What can't be laid out (too much of it, or the layout fails) is left out: it is drawn in columns.
 */
export async function arrange(definition: Definition, all = false, layout: Layout = inWorker): Promise<Places> {
  const places: Record<string, Point> = {};
  await arrangeGraph(all ? withoutPlaces(definition) : definition, '', places, layout);
  return places;
}

/** The same without any place. */
export function withoutPlaces<G extends Graph>(graph: G): G {
  return {
    ...graph,
    nodes: graph.nodes.map(({ position: _, ...node }) =>
      node.type === 'loop' && node.config
        ? { ...node, config: { ...node.config, body: withoutPlaces(bodyOf(node)) } }
        : node
    )
  };
}

async function arrangeGraph(graph: Graph, scope: string, places: Record<string, Point>, layout: Layout): Promise<void> {
  for (const node of graph.nodes) {
    if (node.type === 'loop') await arrangeGraph(bodyOf(node), join(scope, node.id), places, layout);
  }
  if (!isUnplaced(graph) || graph.nodes.length > NODES_MAX) return;
  const sizes = graph.nodes.map((node) => sizeOf(node, join(scope, node.id), places));
  const laid = await layout(elkGraph(graph, sizes)).catch(() => undefined);
  const [start, ...children] = laid?.children ?? [];
  for (const child of children) {
    // The start goes where it is always drawn: what follows begins at 0.
    const x = (child.x ?? 0) - TRIGGER_SIZE.width - 64 - (start?.x ?? 0);
    places[join(scope, child.id)] = { x: snap(x), y: snap(child.y ?? 0) };
  }
}

const snap = (value: number): number => Math.round(value / GRID) * GRID;

/** Only what this is a graph of: edges whose ends are there. Ports stand fixed where they are drawn. */
export function elkGraph(graph: Graph, sizes: readonly Size[]): ElkNode {
  const nodes = [undefined, ...graph.nodes];
  const ports = new Set<string>();
  const children = nodes.map((node, at): ElkNode => {
    const id = node?.id ?? TRIGGER;
    const size = sizes[at - 1] ?? TRIGGER_SIZE;
    const places = portPlaces(node);
    const west = places.in === undefined ? [] : [{ id: `${id}<`, x: 0, y: places.in }];
    const all = [...west, ...places.out.map(({ port, y }) => ({ id: `${id}>${port}`, x: size.width, y }))];
    for (const port of all) ports.add(port.id);
    const layoutOptions = {
      'elk.portConstraints': 'FIXED_POS',
      ...(node === undefined && { 'elk.layered.layering.layerConstraint': 'FIRST' })
    };
    return { id, ...size, ports: all, layoutOptions };
  });
  const edges = graph.edges
    .map(({ from, port = 'out', to }, at) => ({ id: `e${at}`, sources: [`${from}>${port}`], targets: [`${to}<`] }))
    .filter((edge) => ports.has(edge.sources[0]!) && ports.has(edge.targets[0]!));
  return { id: 'graph', layoutOptions: { ...OPTIONS }, children, edges };
}

let worker: Promise<Layout> | undefined;

async function inWorker(graph: ElkNode): Promise<ElkNode> {
  worker ??= start();
  return (await worker)(graph);
}

async function start(): Promise<Layout> {
  const [{ default: Elk }, { default: url }] = await Promise.all([
    import('elkjs/lib/elk-api.js'),
    import('elkjs/lib/elk-worker.min.js?url')
  ]);
  const elk = new Elk({ workerFactory: () => new Worker(url) });
  return (graph) => elk.layout(graph);
}
