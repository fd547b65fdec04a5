/** A chart of numbers over numbers or time, in the page's colours, as wide as its box. */
import { part } from "../ui/later";

/** Names of the style sheet's colours: `--bait` and so on. */
export type Colour = "accent" | "bait" | "real" | "unsure" | "muted" | "good" | "bad";

export interface Series {
  label: string;
  values: readonly (number | null)[];
  colour: Colour;
  /** "dotted" is a line with a point at each value. */
  kind?: "line" | "dotted" | "bars" | "points" | "steps";
  dashed?: boolean;
  /** Fills the area below, faintly. */
  filled?: boolean;
}

/** A vertical line at `x`. */
export interface Mark {
  x: number;
  colour: Colour;
  dashed?: boolean;
}

export interface PlotProps {
  /** The chart in a sentence with its numbers, for screen readers. */
  label: string;
  x: readonly number[];
  series: readonly Series[];
  marks?: readonly Mark[];
  /** The background is shaded between these two of `x`. */
  band?: readonly [number, number];
  /** `x` are seconds since 1970. */
  time?: boolean;
  xRange?: readonly [number, number];
  yRange?: readonly [number, number];
  /** A logarithmic y axis; it ignores `yRange` and cannot show zero. */
  yLog?: boolean;
  xLabel?: string;
  yLabel?: string;
  xFormat?: (value: number) => string;
  yFormat?: (value: number) => string;
  height?: number;
}

/** Pixels, unless another height is given. */
export const HEIGHT = 220;
/** Pixels of the legend below. */
const LEGEND = 28;

/** The place of the chart while its code is on its way: what is below must not jump. */
const Waiting = ({ label, height = HEIGHT }: PlotProps) => (
  <figure class="plot">
    <div
      class="plot-place"
      role="img"
      aria-label={label}
      style={{ minHeight: `${height + LEGEND}px` }}
    />
  </figure>
);

export const Plot = part<PlotProps>(
  () => import("./drawn").then((module) => module.Drawn),
  Waiting,
);
