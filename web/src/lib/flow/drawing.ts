/**
 * From a definition to what is drawn: boxes and lines with places, free of any framework.
 *
 * Every box has a size that follows from its node alone, so that nothing is measured and what is out of sight costs nothing.
 * A loop is as large as its body; its body's nodes keep places of their own, and the loop is drawn around them.
 */
import { join } from './address';
import { bodyOf, DEFAULT_PORT, portOf, TRIGGER, type Definition, type Graph, type NodeDoc } from './definition';
import { portsOf } from './kinds';

export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export const GRID = 16;
export const WIDTH = 224;
export const HEAD = 56;
export const ROW = 24;
const FOOT = 8;
export const TRIGGER_SIZE: Size = { width: 112, height: 40 };
const LOOP_MIN: Size = { width: 288, height: 168 };
const INSIDE = { x: 24, top: HEAD + 16, bottom: 24 };
const GAP = { x: 64, y: 32 };
const FAR = 1_000_000; // a place further out is taken for none: no screen ever gets there

/** Where ports are: at the middle of the head, or, where there are several, each in a row of its own below it. */
export interface Ports {
  in: number | undefined;
  out: { port: string; y: number }[];
}

export interface Box {
  /** Its address. */
  id: string;
  /** The address of the loop it stands in. */
  parent: string | undefined;
  /** Within the box of its parent. */
  at: Point;
  size: Size;
  ports: Ports;
  /** None: the start of the graph. */
  node: NodeDoc | undefined;
}

export interface Line {
  id: string;
  scope: string;
  source: string;
  port: string;
  target: string;
}

export interface Drawing {
  /** A loop before what stands in it. */
  boxes: Box[];
  lines: Line[];
}

/** Places by address, each within the graph it stands in. Those of a definition win over them. */
export type Places = Readonly<Record<string, Point>>;

export function drawingOf(definition: Definition, places: Places = {}): Drawing {
  const drawing: Drawing = { boxes: [], lines: [] };
  draw(definition, '', { x: 0, y: 0 }, places, drawing);
  return drawing;
}

/** The place a definition gives to a node, if it is one a screen can show. */
export function placeOf(node: NodeDoc): Point | undefined {
  const { x, y } = (node.position ?? {}) as Partial<Record<'x' | 'y', unknown>>;
  const sane = (value: unknown): value is number => typeof value === 'number' && Math.abs(value) <= FAR;
  return sane(x) && sane(y) ? { x, y } : undefined;
}

export function portPlaces(node: NodeDoc | undefined): Ports {
  if (node === undefined) return { in: undefined, out: [{ port: DEFAULT_PORT, y: TRIGGER_SIZE.height / 2 }] };
  const ports = portsOf(node);
  const plain = ports.length === 1 && ports[0] === DEFAULT_PORT;
  const first = plain ? HEAD / 2 : HEAD + ROW / 2;
  return { in: HEAD / 2, out: ports.map((port, at) => ({ port, y: first + at * ROW })) };
}

/** How large a node is drawn; a loop with what stands in it at these places. */
export function sizeOf(node: NodeDoc, address: string, places: Places = {}): Size {
  if (node.type === 'loop') return loopSize(node, address, places);
  const { out } = portPlaces(node);
  const last = out.at(-1);
  return { width: WIDTH, height: last && last.y > HEAD ? last.y + ROW / 2 + FOOT : HEAD };
}

function loopSize(node: NodeDoc, address: string, places: Places): Size {
  const { origin, end } = extentOf(bodyOf(node), address, places);
  const last = portPlaces(node).out.at(-1)?.y ?? 0;
  return {
    width: Math.max(LOOP_MIN.width, end.x - origin.x + 2 * INSIDE.x),
    height: Math.max(LOOP_MIN.height, end.y - origin.y + INSIDE.top + INSIDE.bottom, last + ROW)
  };
}

/** The smallest rectangle around a graph, its start included, in the places of that graph. */
export function extentOf(graph: Graph, scope: string, places: Places = {}): { origin: Point; end: Point } {
  const at = resolved(graph, scope, places);
  const start = startOf(graph, at);
  let [left, top, right, bottom] = [start.x, start.y, start.x + TRIGGER_SIZE.width, start.y + TRIGGER_SIZE.height];
  for (const node of graph.nodes) {
    const place = at.get(node.id)!;
    const size = sizeOf(node, join(scope, node.id), places);
    left = Math.min(left, place.x);
    top = Math.min(top, place.y);
    right = Math.max(right, place.x + size.width);
    bottom = Math.max(bottom, place.y + size.height);
  }
  return { origin: { x: left, y: top }, end: { x: right, y: bottom } };
}

/** What is added to a place in a loop to have it within the loop's box. */
export function insetOf(loop: NodeDoc, address: string, places: Places = {}): Point {
  const { origin } = extentOf(bodyOf(loop), address, places);
  return { x: INSIDE.x - origin.x, y: INSIDE.top - origin.y };
}

/** A place for every node of a graph: its own, the one given, or one behind what leads to it. */
export function resolved(graph: Graph, scope: string, places: Places = {}): Map<string, Point> {
  const at = new Map<string, Point>();
  for (const node of graph.nodes) {
    const place = placeOf(node) ?? places[join(scope, node.id)];
    if (place) at.set(node.id, place);
  }
  if (at.size < graph.nodes.length) placeOthers(graph, scope, at, places);
  return at;
}

/** The start stands left of everything, level with what it leads to. */
export function startOf(graph: Graph, at: ReadonlyMap<string, Point>): Point {
  if (at.size === 0) return { x: 0, y: 0 };
  let left = Infinity;
  for (const { x } of at.values()) left = Math.min(left, x);
  const led = new Set(graph.edges.filter((edge) => edge.from === TRIGGER).map((edge) => edge.to));
  const ys = [...led].map((id) => at.get(id)?.y).filter((y) => y !== undefined);
  const y = ys.length
    ? ys.reduce((sum, each) => sum + each, 0) / ys.length
    : Math.min(...[...at.values()].map((p) => p.y));
  return {
    x: left - GAP.x - TRIGGER_SIZE.width,
    y: Math.round(y + HEAD / 2 - TRIGGER_SIZE.height / 2)
  };
}

function draw(graph: Graph, scope: string, shift: Point, places: Places, drawing: Drawing): void {
  const at = resolved(graph, scope, places);
  const moved = (point: Point): Point => ({ x: point.x + shift.x, y: point.y + shift.y });
  const parent = scope || undefined;
  const start = moved(startOf(graph, at));
  const ports = portPlaces(undefined);
  drawing.boxes.push({ id: join(scope, TRIGGER), parent, at: start, size: TRIGGER_SIZE, ports, node: undefined });
  for (const node of graph.nodes) {
    const id = join(scope, node.id);
    const size = sizeOf(node, id, places);
    drawing.boxes.push({ id, parent, at: moved(at.get(node.id)!), size, ports: portPlaces(node), node });
    if (node.type === 'loop') draw(bodyOf(node), id, insetOf(node, id, places), places, drawing);
  }
  drawing.lines.push(...linesOf(graph, scope));
}

/** The edges that can be drawn: from a port that is there to a node that is there, each once. */
function linesOf(graph: Graph, scope: string): Line[] {
  const ports = new Map<string, Set<string>>([[TRIGGER, new Set([DEFAULT_PORT])]]);
  for (const node of graph.nodes) ports.set(node.id, new Set(portsOf(node)));
  const lines = new Map<string, Line>();
  for (const edge of graph.edges) {
    if (!ports.get(edge.from)?.has(portOf(edge)) || !ports.has(edge.to) || edge.to === TRIGGER) continue;
    const id = lineId(scope, edge.from, portOf(edge), edge.to);
    lines.set(id, { id, scope, source: join(scope, edge.from), port: portOf(edge), target: join(scope, edge.to) });
  }
  return [...lines.values()];
}

export const lineId = (scope: string, from: string, port: string, to: string): string =>
  `${scope}:${from}:${port}:${to}`;

/** Behind the last of what leads to it, below what stands there already. */
function placeOthers(graph: Graph, scope: string, at: Map<string, Point>, places: Places): void {
  const sizes = new Map(graph.nodes.map((node) => [node.id, sizeOf(node, join(scope, node.id), places)]));
  const leading = new Map<string, string[]>();
  for (const edge of graph.edges) {
    const known = leading.get(edge.to);
    if (known) known.push(edge.from);
    else leading.set(edge.to, [edge.from]);
  }
  let bottom = 0; // those that nothing leads to stand in a column of their own
  for (const place of at.values()) bottom = Math.max(bottom, place.y + HEAD + GAP.y);
  const columns = new Map<number, number>();
  for (const node of inOrder(graph, leading)) {
    if (at.has(node.id)) continue;
    const before = (leading.get(node.id) ?? []).filter((id) => at.has(id));
    const size = sizes.get(node.id)!;
    const x = Math.max(0, ...before.map((id) => at.get(id)!.x + sizes.get(id)!.width + GAP.x));
    const wished = before.length ? Math.min(...before.map((id) => at.get(id)!.y)) : (columns.get(x) ?? bottom);
    const y = Math.max(wished, columns.get(x) ?? -FAR);
    at.set(node.id, { x, y });
    columns.set(x, y + size.height + GAP.y);
  }
}

/** Nodes after what leads to them, as far as there is no circle. */
function inOrder(graph: Graph, leading: ReadonlyMap<string, string[]>): NodeDoc[] {
  const byId = new Map(graph.nodes.map((node) => [node.id, node]));
  const done = new Set<string>();
  const order: NodeDoc[] = [];
  for (const root of graph.nodes) {
    const stack: { id: string; next: number }[] = [{ id: root.id, next: 0 }];
    while (stack.length) {
      const top = stack.at(-1)!;
      if (top.next === 0) {
        if (done.has(top.id)) {
          stack.pop();
          continue;
        }
        done.add(top.id);
      }
      const next = leading.get(top.id)?.[top.next++];
      if (next !== undefined) {
        if (byId.has(next) && !done.has(next)) stack.push({ id: next, next: 0 });
      } else {
        stack.pop();
        order.push(byId.get(top.id)!);
      }
    }
  }
  return order;
}

export interface Window {
  x: number;
  y: number;
  zoom: number;
}

const READABLE = 0.5; // below, nobody reads what stands in a node

/** What is seen at first: everything, where that can still be read; else the start of it, as large as can be read. */
export function beginning({ boxes }: Drawing, view: Size, margin = 32): Window {
  const outer = boxes.filter(({ parent }) => parent === undefined);
  const [left, top] = [Math.min(...outer.map(({ at }) => at.x)), Math.min(...outer.map(({ at }) => at.y))];
  const right = Math.max(...outer.map(({ at, size }) => at.x + size.width));
  const bottom = Math.max(...outer.map(({ at, size }) => at.y + size.height));
  const [width, height] = [right - left, bottom - top];
  const room = { width: view.width - 2 * margin, height: view.height - 2 * margin };
  const zoom = Math.min(1, Math.max(READABLE, Math.min(room.width / width, room.height / height)));
  const start = boxes[0]!.at;
  const middle = (view.width - width * zoom) / 2 - left * zoom;
  return {
    zoom,
    x: width * zoom <= room.width ? middle : margin - left * zoom,
    y:
      height * zoom <= room.height
        ? (view.height - height * zoom) / 2 - top * zoom
        : view.height / 2 - (start.y + TRIGGER_SIZE.height / 2) * zoom
  };
}
