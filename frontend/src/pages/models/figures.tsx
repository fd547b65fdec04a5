/** Measurements drawn: intervals on one scale. */
import type { Interval } from "./metrics";

/** An interval between `from` and `to` with its value; hidden from screen readers, which read the text. */
export function Whisker({
  of: { value, low, high },
  from,
  to,
  second = false,
}: {
  of: Interval;
  from: number;
  to: number;
  /** In the other colour, for the second of two. */
  second?: boolean;
}) {
  if (value === null) return null;
  const place = (at: number) => `${(100 * (at - from)) / (to - from)}%`;
  return (
    <div class={`whisker ${second ? "second" : ""}`} aria-hidden="true">
      {low !== null && high !== null && (
        <div
          class="whisker-line"
          style={{ left: place(low), width: `${(100 * (high - low)) / (to - from)}%` }}
        />
      )}
      <div class="whisker-mark" style={{ left: place(value) }} />
    </div>
  );
}

/** The start of a scale of shares: 0.5, which is chance, unless an interval goes below. */
export function scaleFrom(...intervals: Interval[]): number {
  const least = Math.min(0.5, ...intervals.map((one) => one.low ?? one.value ?? 0.5));
  return Math.floor(10 * least) / 10;
}
