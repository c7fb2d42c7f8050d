/** Where something dropped on the canvas goes: into the innermost loop under it, or into the definition itself. */
import { graphAt, idOf, nodeAt, scopeOf } from '$lib/flow/address';
import type { Definition } from '$lib/flow/definition';
import { insetOf, resolved, type Drawing, type Places, type Point } from '$lib/flow/drawing';

export interface Spot {
  scope: string;
  at: Point;
}

export function spotAt(definition: Definition, drawing: Drawing, point: Point): Spot {
  const corners = new Map<string, Point>([['', { x: 0, y: 0 }]]);
  let spot: Spot = { scope: '', at: point };
  for (const { id, parent, at, size, node } of drawing.boxes) {
    if (node?.type !== 'loop') continue;
    const outer = corners.get(parent ?? '')!;
    const corner = { x: outer.x + at.x, y: outer.y + at.y };
    corners.set(id, corner);
    const inside =
      point.x > corner.x && point.x < corner.x + size.width && point.y > corner.y && point.y < corner.y + size.height;
    if (!inside) continue;
    const inset = insetOf(nodeAt(definition, id)!, id);
    spot = { scope: id, at: { x: point.x - corner.x - inset.x, y: point.y - corner.y - inset.y } };
  }
  return spot;
}

/** The places of nodes that were drawn somewhere else than the drawing says: by so much they have moved. */
export function movedTo(
  definition: Definition,
  drawing: Drawing,
  now: Iterable<{ id: string; position: Point }>
): Places {
  const drawn = new Map(drawing.boxes.map((box) => [box.id, box.at]));
  const places: Record<string, Point> = {};
  for (const { id, position } of now) {
    const before = drawn.get(id);
    const graph = graphAt(definition, scopeOf(id));
    const place = graph && resolved(graph, scopeOf(id)).get(idOf(id));
    if (!before || !place || (before.x === position.x && before.y === position.y)) continue;
    places[id] = { x: place.x + position.x - before.x, y: place.y + position.y - before.y };
  }
  return places;
}
