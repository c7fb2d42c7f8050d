/** A drawing as the nodes and edges of Svelte Flow. What did not change stays the same object, so that only what did is drawn anew. */
import { Position, type Edge, type Node, type NodeHandle } from '@xyflow/svelte';
import type { Box, Drawing, Line, Point, Size } from './drawing';
import { titleOf, summaryOf } from './kinds';
import { routesOf } from './routing';
import type { NodeState, NodeStates } from './state';

/** What is wrong with a node, by the validator. */
export interface Mark {
  readonly errors: number;
  readonly warnings: number;
  readonly text: string;
}

export type Marks = Readonly<Record<string, Mark>>;
export type BoxData = { box: Box; state: NodeState | undefined; mark: Mark | undefined; pinned: boolean };
export type BoxNode = Node<BoxData, 'step' | 'loop' | 'start'>;
export type LineEdge = Edge<{ line: Line; taken: boolean; height: number | undefined }, 'line'>;

export interface Shown {
  states?: NodeStates;
  marks?: Marks;
  pinned?: ReadonlySet<string>;
  selected?: ReadonlySet<string>;
}

export const PORT = 12; // the diameter of what is drawn of a port

export function boxNodes(drawing: Drawing, before: readonly BoxNode[], shown: Shown): BoxNode[] {
  const old = new Map(before.map((node) => [node.id, node]));
  return drawing.boxes.map((box) => {
    const state = shown.states?.[box.id];
    const mark = shown.marks?.[box.id];
    const pinned = shown.pinned?.has(box.id) ?? false;
    const selected = shown.selected?.has(box.id) ?? false;
    const known = old.get(box.id);
    if (known && isSame(known, box, selected)) {
      const { data } = known;
      if (data.state === state && data.mark === mark && data.pinned === pinned) return known;
    }
    return {
      id: box.id,
      type: box.node === undefined ? 'start' : box.node.type === 'loop' ? 'loop' : 'step',
      // What is just being dragged stays under the pointer whatever else changes.
      position: known?.dragging ? known.position : { ...box.at },
      dragging: known?.dragging,
      parentId: box.parent,
      ...box.size,
      measured: { ...box.size },
      handles: handlesOf(box),
      selected,
      draggable: box.node === undefined ? false : undefined,
      ariaLabel: labelOf(box),
      data: { box, state, mark, pinned }
    };
  });
}

function isSame(known: BoxNode, box: Box, selected: boolean): boolean {
  return (
    known.data.box.node === box.node &&
    (known.dragging || samePoint(known.position, box.at)) &&
    sameSize(known.data.box.size, box.size) &&
    (known.selected ?? false) === selected
  );
}

const samePoint = (a: Point, b: Point): boolean => a.x === b.x && a.y === b.y;
const sameSize = (a: Size, b: Size): boolean => a.width === b.width && a.height === b.height;

function handlesOf({ ports, size }: Box): NodeHandle[] {
  const at = { width: PORT, height: PORT };
  const made: NodeHandle[] = ports.out.map(({ port, y }) => ({
    ...at,
    id: port,
    type: 'source',
    position: Position.Right,
    x: size.width - PORT / 2,
    y: y - PORT / 2
  }));
  if (ports.in !== undefined) {
    made.push({ ...at, id: null, type: 'target', position: Position.Left, x: -PORT / 2, y: ports.in - PORT / 2 });
  }
  return made;
}

/** What a node is called by those who do not see it. */
export function labelOf({ node }: Pick<Box, 'node'>): string {
  if (!node) return 'Start';
  const name = node.name ? `${node.name}, ${node.id}` : node.id;
  return `${name}: ${titleOf(node.type)}, ${summaryOf(node)}`;
}

export function lineEdges(drawing: Drawing, before: readonly LineEdge[], shown: Shown): LineEdge[] {
  const old = new Map(before.map((edge) => [edge.id, edge]));
  const routes = routesOf(drawing);
  const insets = new Map(drawing.boxes.map((box) => [box.id, box]));
  // Places are within the loop a line stands in; lines are drawn on the whole canvas.
  const shift = (scope: string): number => {
    const box = insets.get(scope);
    return box ? box.at.y + shift(box.parent ?? '') : 0;
  };
  return drawing.lines.map((line) => {
    const taken = isTaken(line, shown.states);
    const selected = shown.selected?.has(line.id) ?? false;
    const route = routes.get(line.id);
    const height = route === undefined ? undefined : route + shift(line.scope);
    const known = old.get(line.id);
    if (known && known.data?.taken === taken && known.data.height === height && (known.selected ?? false) === selected)
      return known;
    return {
      id: line.id,
      type: 'line',
      source: line.source,
      sourceHandle: line.port,
      target: line.target,
      selected,
      ariaLabel: `from ${line.source}, port ${line.port}, to ${line.target}`,
      data: { line, taken, height }
    };
  });
}

/** Whether a run went this way, as far as it is known. */
function isTaken(line: Line, states: NodeStates | undefined): boolean {
  const [from, to] = [states?.[line.source], states?.[line.target]];
  if (!to || to.standing === 'skipped') return false;
  if (line.source === 'trigger' || line.source.endsWith('/trigger')) return true;
  return from?.standing === 'completed' && (from.port === undefined || from.port === line.port);
}
