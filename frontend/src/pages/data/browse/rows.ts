/** Which rows of a long grid are drawn: those in view and a few around them. */

/** Pixels between tiles. */
export const GAP = 12;

const LEAST_TILE = 158;
const LEAST_COLUMNS = 2;

/** Pixels below the picture: label and name, a line each. */
const CAPTION = 58;

/** Rows drawn above and below the view, so that scrolling shows pictures and no blanks. */
const SPARE = 2;

export interface Layout {
  columns: number;
  /** Pixels from the top of a row to the top of the next. */
  row: number;
}

/** Columns and row height of a grid that is `width` pixels wide; pictures are 16:9. */
export function layoutOf(width: number): Layout {
  const columns = Math.max(LEAST_COLUMNS, Math.floor((width + GAP) / (LEAST_TILE + GAP)));
  const tile = (width - GAP * (columns - 1)) / columns;
  return { columns, row: Math.round((tile * 9) / 16) + CAPTION + GAP };
}

export interface Drawn {
  /** The first row drawn, and the one after the last. */
  first: number;
  end: number;
}

/** `above`: pixels of the grid above the window's top; `height`: of the window. */
export function drawn(above: number, height: number, row: number, rows: number): Drawn {
  const first = Math.max(0, Math.floor(above / row) - SPARE);
  const end = Math.min(rows, Math.ceil((above + height) / row) + SPARE);
  return { first: Math.min(first, Math.max(0, rows - 1)), end: Math.max(end, 0) };
}

/** The place that a key moves to, in a grid of `count` items; undefined for other keys. */
export function moved(key: string, at: number, columns: number, count: number): number | undefined {
  const by: Record<string, number> = {
    ArrowRight: 1,
    ArrowLeft: -1,
    ArrowDown: columns,
    ArrowUp: -columns,
    PageDown: 4 * columns,
    PageUp: -4 * columns,
  };
  if (count === 0) return undefined;
  if (key === "Home") return 0;
  if (key === "End") return count - 1;
  const step = by[key];
  if (step === undefined) return undefined;
  const to = at + step;
  // Up and down stay in the grid rather than jump to its ends.
  return to < 0 || to >= count ? (Math.abs(step) > columns ? (to < 0 ? 0 : count - 1) : at) : to;
}
