/**
 * A JSON value as the lines of a tree, of which only what was opened exists: a value of 20 MB costs as much as what is looked at.
 * Pure: each change gives new lines.
 */
import { Exact, type Json } from './exact';

export const CHUNK = 200;
const OPEN_AT_FIRST = 100;

export type Key = string | number;
type Box = Json[] | { [key: string]: Json };

export interface Line {
  /** Differs among all lines there ever were. */
  id: number;
  parent: Line | undefined;
  depth: number;
  /** Its name or index in what it stands in; nothing for the whole value. */
  key: Key | undefined;
  value: Json;
  /** How many values stand in it; -1 when it can hold none. */
  size: number;
  open: boolean;
  /** No value, but members `from` to `to` of its parent that are not shown. */
  hidden?: { from: number; to: number };
}

let last = 0;
const names = new WeakMap<object, string[]>();

export const isBox = (value: Json): value is Box =>
  typeof value === 'object' && value !== null && !(value instanceof Exact);

function namesOf(value: { [key: string]: Json }): string[] {
  let known = names.get(value);
  if (!known) names.set(value, (known = Object.keys(value)));
  return known;
}

const sizeOf = (value: Json): number =>
  !isBox(value) ? -1 : Array.isArray(value) ? value.length : namesOf(value).length;
const keyAt = (box: Box, index: number): Key => (Array.isArray(box) ? index : namesOf(box)[index]!);
const valueAt = (box: Box, key: Key): Json => (box as { [key: Key]: Json })[key]!;

function lineOf(value: Json, key: Key | undefined, parent: Line | undefined): Line {
  return { id: ++last, parent, depth: parent ? parent.depth + 1 : 0, key, value, size: sizeOf(value), open: false };
}

/** Members `from` to `to`: a chunk of them around `at`, and what is left out before and behind it. */
function members(parent: Line, from: number, to: number, at = from): Line[] {
  const box = parent.value as Box;
  const first = at - ((at - from) % CHUNK);
  const end = Math.min(to, first + CHUNK);
  const lines: Line[] = [];
  const hide = (a: number, b: number): void => {
    if (b > a) lines.push({ ...lineOf(null, undefined, parent), hidden: { from: a, to: b } });
  };
  hide(from, first);
  for (let index = first; index < end; index++) {
    const key = keyAt(box, index);
    lines.push(lineOf(valueAt(box, key), key, parent));
  }
  hide(end, to);
  return lines;
}

/** The first lines of a value: it is open, and of what stands in it as much as makes a hundred lines. */
export function linesOf(value: Json): Line[] {
  let lines = [lineOf(value, undefined, undefined)];
  for (let at = 0; at < lines.length; at++) {
    const { size } = lines[at]!;
    if (size > 0 && (at === 0 || lines.length + size <= OPEN_AT_FIRST)) lines = toggled(lines, at);
  }
  return lines;
}

/** A line opened, or closed with all that is in it; of what is hidden, the next chunk. */
export function toggled(lines: readonly Line[], at: number): Line[] {
  const line = lines[at]!;
  if (line.hidden) return lines.toSpliced(at, 1, ...members(line.parent!, line.hidden.from, line.hidden.to));
  if (line.size <= 0) return [...lines];
  if (!line.open) {
    const opened = { ...line, open: true };
    return lines.toSpliced(at, 1, opened, ...members(opened, 0, line.size));
  }
  let end = at + 1;
  while (end < lines.length && lines[end]!.depth > line.depth) end++;
  return lines.toSpliced(at, end - at, { ...line, open: false });
}

/** Opens what it takes to see a value; where its line is then. */
export function revealed(lines: readonly Line[], path: readonly Key[]): { lines: Line[]; at: number } {
  let shown = [...lines];
  let at = 0;
  for (const key of path) {
    if (!shown[at]!.open) shown = toggled(shown, at);
    const parent = shown[at]!;
    const box = parent.value as Box;
    const index = Array.isArray(box) ? (key as number) : namesOf(box).indexOf(key as string);
    for (at++; ; at++) {
      const line = shown[at]!;
      if (line.depth !== parent.depth + 1) continue;
      if (line.hidden && index >= line.hidden.from && index < line.hidden.to)
        shown = shown.toSpliced(at, 1, ...members(line.parent!, line.hidden.from, line.hidden.to, index));
      if (!shown[at]!.hidden && shown[at]!.key === key) break;
    }
  }
  return { lines: shown, at };
}

export function pathOf(line: Line): Key[] {
  const path: Key[] = [];
  for (let at: Line | undefined = line; at?.key !== undefined; at = at.parent) path.push(at.key);
  return path.reverse();
}

/** As JMESPath and templates write it: `items[0]."first name"`. */
export function pathText(path: readonly Key[]): string {
  let text = '';
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`;
    else text += `${text && '.'}${/^[A-Za-z_]\w*$/.test(key) ? key : JSON.stringify(key)}`;
  }
  return text || '@';
}

/**
 * Where a text stands, in either case: in names, strings, and numbers as they are written. Looks at one value a step, so that the caller
 * decides how long it goes on at once; gives a path when it found one.
 */
export function* found(value: Json, text: string): Generator<Key[] | undefined, void> {
  interface Place {
    value: Json;
    key: Key | undefined;
    parent: Place | undefined;
  }
  const wanted = text.toLowerCase();
  const holds = ({ value: one, key }: Place): boolean =>
    (typeof key === 'string' && key.toLowerCase().includes(wanted)) ||
    (!isBox(one) && (one instanceof Exact ? one.text : String(one)).toLowerCase().includes(wanted));
  const path = (place: Place | undefined): Key[] => {
    const keys: Key[] = [];
    for (; place?.key !== undefined; place = place.parent) keys.push(place.key);
    return keys.reverse();
  };
  const root: Place = { value, key: undefined, parent: undefined };
  yield holds(root) ? [] : undefined;
  const open = [{ place: root, index: 0 }];
  for (let top = open.at(-1); top; top = open.at(-1)) {
    if (top.index >= sizeOf(top.place.value)) {
      open.pop();
      continue;
    }
    const box = top.place.value as Box;
    const key = keyAt(box, top.index++);
    const place: Place = { value: valueAt(box, key), key, parent: top.place };
    yield holds(place) ? path(place) : undefined;
    if (isBox(place.value)) open.push({ place, index: 0 });
  }
}
