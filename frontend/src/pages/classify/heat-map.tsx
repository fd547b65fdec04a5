/** The model's evidence for clickbait in a square of cells, drawn over the image as a soft glow. */
import { useEffect, useRef } from "preact/hooks";

/** A colour that is rare in photographs, so that it stands out. */
const GLOW = [255, 64, 160] as const;

/** Each cell is one pixel; the browser scales them up and smooths them. */
export function HeatMap({
  cells,
  strength,
  place,
}: {
  cells: number[][];
  strength: number;
  place: Record<string, string>;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    const context = canvas.current?.getContext("2d");
    if (!context) return;
    const [rows, columns] = [cells.length, cells[0]?.length ?? 0];
    const image = context.createImageData(columns, rows);
    for (const [at, value] of cells.flat().entries()) {
      image.data.set([...GLOW, Math.round(255 * value)], 4 * at);
    }
    context.putImageData(image, 0, 0);
  }, [cells]);
  return (
    <canvas
      ref={canvas}
      class="heat"
      width={cells[0]?.length ?? 0}
      height={cells.length}
      style={{ opacity: strength, ...place }}
    />
  );
}

const ROWS = ["top", "middle", "bottom"] as const;
const COLUMNS = ["left", "centre", "right"] as const;

/** The place of the strongest cell: "top left". */
export const hottest = (cells: number[][]): string => placeOf(cells, (value) => value);

/** The place of the cell with the most `weight`. */
export function placeOf(
  cells: readonly (readonly number[])[],
  weight: (value: number) => number,
): string {
  const all = cells.flatMap((row, y) => row.map((value, x) => ({ value: weight(value), x, y })));
  const most = all.reduce((a, b) => (b.value > a.value ? b : a));
  const third = (place: number, of: number) => Math.min(2, Math.floor((3 * (place + 0.5)) / of));
  const row = ROWS[third(most.y, cells.length)];
  const column = COLUMNS[third(most.x, cells[0]?.length ?? 1)];
  return row === "middle" && column === "centre" ? "centre" : `${row} ${column}`;
}
