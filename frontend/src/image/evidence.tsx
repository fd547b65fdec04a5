/** The model's signed evidence in a square of cells: one colour for clickbait, another against it. */
import { useLayoutEffect, useRef } from "preact/hooks";

export type Cells = readonly (readonly number[])[];

/** People with any kind of colour blindness can tell orange from blue. style/images has both too. */
export const FOR = [255, 112, 10] as const;
export const AGAINST = [0, 122, 255] as const;

/** Log odds below which a cell says nothing, and from which it has the full colour: 1 is 73%, 6 is
 * 99.8%. The same for all images, so that a faint map is faint evidence. */
export const FLOOR = 1;
export const FULL = 6;

/** From 0 (nothing) to 1 (the full colour). */
export const strengthOf = (value: number): number =>
  Math.min(1, Math.max(0, (Math.abs(value) - FLOOR) / (FULL - FLOOR)));

/** Red, green, blue and opacity of each cell, in the order of the rows. */
export const pixelsOf = (cells: Cells): number[] =>
  cells
    .flat()
    .flatMap((value) => [...(value > 0 ? FOR : AGAINST), Math.round(255 * strengthOf(value))]);

const ROWS = ["top", "middle", "bottom"] as const;
const COLUMNS = ["left", "centre", "right"] as const;

/** The place of the cell with the most `weight`: "top left". */
function placeOf(cells: Cells, weight: (value: number) => number): string {
  const all = cells.flatMap((row, y) => row.map((value, x) => ({ value: weight(value), x, y })));
  const most = all.reduce((a, b) => (b.value > a.value ? b : a));
  const third = (place: number, of: number) => Math.min(2, Math.floor((3 * (place + 0.5)) / of));
  const row = ROWS[third(most.y, cells.length)];
  const column = COLUMNS[third(most.x, cells[0]?.length ?? 1)];
  return row === "middle" && column === "centre" ? "centre" : `${row} ${column}`;
}

export const NO_EVIDENCE = "No part of the image says much either way.";

/** One sentence: what speaks for clickbait, what against it, and where. */
export function evidenceText(cells: Cells): string {
  const values = cells.flat();
  const [most, least] = [Math.max(...values), Math.min(...values)];
  const [speaksFor, speaksAgainst] = [most >= FLOOR, least <= -FLOOR];
  if (!speaksFor && !speaksAgainst) return NO_EVIDENCE;
  const against = placeOf(cells, (v) => -v);
  if (!speaksFor) return `Strongest evidence against clickbait: ${against}.`;
  const found = `Strongest evidence for clickbait: ${placeOf(cells, (v) => v)}`;
  return speaksAgainst ? `${found}; against it: ${against}.` : `${found}.`;
}

/** `place` puts it over the part of the image that the model saw. */
export function EvidenceMap({
  cells,
  place,
}: {
  cells: Cells;
  place: Record<string, string | number>;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [rows, columns] = [cells.length, cells[0]?.length ?? 0];
  // Before the next paint: the image must not be seen without it for a moment.
  useLayoutEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    const image = context.createImageData(columns, rows);
    image.data.set(pixelsOf(cells));
    context.putImageData(image, 0, 0);
  }, [cells]);
  return <canvas ref={canvas} class="heat" width={columns} height={rows} style={place} />;
}

export const Legend = () => (
  <ul class="evidence-key hint">
    <li class="for">for clickbait</li>
    <li class="against">against clickbait</li>
    <li class="neither">clear: neither</li>
  </ul>
);
