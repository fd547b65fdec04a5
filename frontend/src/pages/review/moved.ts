/** Moving through a grid with the keyboard. */
export const ARROWS = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"];

/** The index that an arrow key leads to, in a grid that wraps after `columns`. */
export function moved(key: string, from: number, columns: number, size: number): number {
  const steps: Record<string, number> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns,
    ArrowDown: columns,
    Home: -from,
    End: size - 1 - from,
  };
  const to = from + (steps[key] ?? 0);
  return to >= 0 && to < size ? to : from;
}
