/**
 * Lines that go past other nodes rather than behind them.
 *
 * A short line is one curve. A long one bends into a free height at once, goes straight, and bends again before its end. Which height that
 * is follows from the boxes between its ends: that of one of its ends if it is free, else the nearest beside what stands in the way.
 */
import type { Box, Drawing, Line } from './drawing';

const BEND = 56; // as wide as the gaps between columns, nearly
const CLEAR = 14; // so far a line keeps from a box

/** The heights of long lines by their ids, within the graph they stand in. A line without one is a single curve. */
export function routesOf({ boxes, lines }: Drawing): Map<string, number> {
  const byId = new Map(boxes.map((box) => [box.id, box]));
  const byScope = new Map<string, Box[]>();
  for (const box of boxes) {
    const scope = box.parent ?? '';
    const known = byScope.get(scope);
    if (known) known.push(box);
    else byScope.set(scope, [box]);
  }
  const routes = new Map<string, number>();
  for (const line of lines) {
    const [from, to] = [byId.get(line.source), byId.get(line.target)];
    const height = from && to && heightOf(line, from, to, byScope.get(line.scope)!);
    if (height !== undefined) routes.set(line.id, height);
  }
  return routes;
}

function heightOf(line: Line, from: Box, to: Box, around: readonly Box[]): number | undefined {
  const left = from.at.x + from.size.width + BEND;
  const right = to.at.x - BEND;
  if (right <= left) return undefined;
  const blocked: [number, number][] = [];
  for (const box of around) {
    if (box === from || box === to || box.at.x >= right || box.at.x + box.size.width <= left) continue;
    blocked.push([box.at.y - CLEAR, box.at.y + box.size.height + CLEAR]);
  }
  if (blocked.length === 0) return undefined;
  const begin = from.at.y + (from.ports.out.find(({ port }) => port === line.port)?.y ?? 0);
  const end = to.at.y + (to.ports.in ?? 0);
  const isFree = (y: number): boolean => blocked.every(([top, bottom]) => y <= top || y >= bottom);
  let best: number | undefined;
  let least = Infinity;
  for (const y of [end, begin, ...blocked.flat()]) {
    const way = Math.abs(y - begin) + Math.abs(y - end);
    if (way < least && isFree(y)) [best, least] = [y, way];
  }
  return best;
}

/** The path of a line from end to end, by a height where it has one. */
export function pathOf(x1: number, y1: number, x2: number, y2: number, height?: number): string {
  if (height === undefined || x2 - x1 <= 2 * BEND) {
    const reach = x2 >= x1 ? Math.max(24, (x2 - x1) / 2) : 48 + Math.sqrt(x1 - x2) * 4;
    return `M${x1} ${y1}C${x1 + reach} ${y1} ${x2 - reach} ${y2} ${x2} ${y2}`;
  }
  const [a, b] = [x1 + BEND, x2 - BEND];
  const half = BEND / 2;
  return `M${x1} ${y1}C${x1 + half} ${y1} ${a - half} ${height} ${a} ${height}L${b} ${height}C${b + half} ${height} ${x2 - half} ${y2} ${x2} ${y2}`;
}
