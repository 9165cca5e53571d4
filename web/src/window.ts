/**
 * Which rows of a long list are in sight. Browsers end elements at some 30 million pixels, so that a list of a million rows cannot
 * be as high as its rows: beyond `HEIGHT_MAX` the scroll bar stands for rows in proportion.
 */

/** Height of a row, in pixels. */
export const ROW = 30;
export const HEIGHT_MAX = 8_000_000;

export interface View {
  /** Rows of the list. */
  readonly total: number;
  /** How far it is scrolled, and the height in which rows are seen, in pixels. */
  readonly top: number;
  readonly height: number;
}

/** Height of the element that is scrolled, in pixels. */
export function fullHeight(total: number): number {
  return Math.min(HEIGHT_MAX, total * ROW);
}

function isScaled(total: number): boolean {
  return total * ROW > HEIGHT_MAX;
}

/** Rows that are seen whole. */
export function wholeRows(height: number): number {
  return Math.max(1, Math.floor(height / ROW));
}

/** The scroll position at which the list's last row is seen. */
function lastTop({ total, height }: View): number {
  return Math.max(1, fullHeight(total) - height);
}

/** The first row in sight. */
export function firstRow(view: View): number {
  const top = Math.max(0, Math.min(view.top, lastTop(view)));
  const last = Math.max(0, view.total - wholeRows(view.height));
  if (!isScaled(view.total)) return Math.min(last, Math.floor(top / ROW));
  return Math.round((top / lastTop(view)) * last);
}

/** Where a row near those in sight stands in the element, in pixels. */
export function rowTop(row: number, view: View): number {
  if (!isScaled(view.total)) return row * ROW;
  return Math.min(view.top, lastTop(view)) + (row - firstRow(view)) * ROW;
}

/** How far to scroll so that `row` is seen whole; undefined when it is already. */
export function scrollTo(row: number, view: View): number | undefined {
  const first = firstRow(view);
  const rows = wholeRows(view.height);
  if (row >= first && row < first + rows) return undefined;
  const wanted = Math.max(0, row < first ? row : row - rows + 1);
  if (!isScaled(view.total)) return wanted * ROW;
  return (wanted / Math.max(1, view.total - rows)) * lastTop(view);
}
