/**
 * Which rows of a long list are drawn: those in sight and a few more on either side. Rows all have one height, so the place of any of
 * them is a multiplication, however many there are.
 */
export interface Window {
  /** The first row drawn, and the one behind the last. */
  first: number;
  end: number;
  /** Where the first one lies, and how long the whole list is, in px. */
  top: number;
  height: number;
}

export function windowOf(scrollTop: number, viewport: number, rowHeight: number, count: number, spare = 8): Window {
  const first = Math.max(0, Math.min(count, Math.floor(scrollTop / rowHeight)) - spare);
  const end = Math.min(count, Math.ceil((scrollTop + viewport) / rowHeight) + spare);
  return { first, end: Math.max(first, end), top: first * rowHeight, height: count * rowHeight };
}

/** Where to scroll so that a row is in sight; what is in sight already does not move. */
export function scrollTo(index: number, scrollTop: number, viewport: number, rowHeight: number): number {
  const top = index * rowHeight;
  if (top < scrollTop) return top;
  return Math.max(scrollTop, top + rowHeight - viewport);
}
