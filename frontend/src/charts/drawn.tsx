/** Draws the chart of `Plot`: uPlot is half of a page's code, and comes behind its words. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { dayTime } from "../format";
import { dark as isDark } from "../store/scheme";
import { HEIGHT, type PlotProps, type Series } from "./plot";

const LINE = 2;
const POINT = 7;
/** Pixels beside and below the plot, and for the last label of the x axis. */
const AXIS = 52;
const BELOW = 28;
const RIGHT = 20;
const BAR_SHARE = 0.85;
const DASH = [6, 5];
const DAY_S = 86_400;

const clock = new Intl.DateTimeFormat("en-GB", { timeStyle: "short" });
const date = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric" });

/** The day if one begins or ticks are days apart, else the time in 24 hours. */
const moments = (ticks: number[], apart: number): string[] =>
  ticks.map((at) => {
    const local = new Date(1000 * at);
    const midnight = local.getHours() === 0 && local.getMinutes() === 0;
    return apart >= DAY_S || midnight ? date.format(local) : clock.format(local);
  });

/** Up to this many ticks, those at 1, 2 and 5 are labelled; with more, those at 1. */
const MANY = 20;

const sparse = (_: uPlot, ticks: number[]): (number | null)[] =>
  ticks.map((tick) => {
    const digit = Math.round(tick / 10 ** Math.floor(Math.log10(tick)));
    return (ticks.length > MANY ? [1] : [1, 2, 5]).includes(digit) ? tick : null;
  });

/** Places of values without neighbours, which a line would not show. */
function alone(values: ArrayLike<number | null | undefined>): number[] {
  const there = (at: number) => (values[at] ?? null) !== null;
  return Array.from(values, (_, at) => at).filter(
    (at) => there(at) && !there(at - 1) && !there(at + 1),
  );
}

/** The current colours: a canvas cannot read CSS variables. */
function palette(place: HTMLElement): (name: string, alpha?: number) => string {
  const probe = document.createElement("i");
  place.append(probe);
  const known = new Map<string, string>();
  for (const name of ["accent", "bait", "real", "unsure", "muted", "good", "bad", "line"]) {
    probe.style.color = `var(--${name})`;
    known.set(name, getComputedStyle(probe).color);
  }
  probe.remove();
  return (name, alpha = 1) => {
    const colour = known.get(name) ?? "#888";
    return alpha === 1 ? colour : colour.replace(/^rgb\((.+)\)$/, `rgba($1, ${alpha})`);
  };
}

/** Draws the band below and the marks above the plot, as they are in `now()`. */
function drawn(now: () => PlotProps, colour: ReturnType<typeof palette>): uPlot.Hooks.Arrays {
  return {
    drawClear: [
      ({ ctx, bbox, valToPos }) => {
        const { band } = now();
        if (!band) return;
        const [left, right] = [valToPos(band[0], "x", true), valToPos(band[1], "x", true)];
        ctx.save(); // uPlot caches the canvas state.
        ctx.fillStyle = colour("unsure", 0.12);
        ctx.fillRect(left, bbox.top, right - left, bbox.height);
        ctx.restore();
      },
    ],
    draw: [
      ({ ctx, bbox, valToPos }) => {
        ctx.save();
        ctx.lineWidth = LINE * devicePixelRatio;
        for (const { x, colour: name, dashed } of now().marks ?? []) {
          const at = valToPos(x, "x", true);
          ctx.strokeStyle = colour(name);
          ctx.setLineDash(dashed ? DASH.map((length) => length * devicePixelRatio) : []);
          ctx.beginPath();
          ctx.moveTo(at, bbox.top);
          ctx.lineTo(at, bbox.top + bbox.height);
          ctx.stroke();
        }
        ctx.restore();
      },
    ],
  };
}

function options(
  props: PlotProps,
  place: HTMLElement,
  width: number,
  now: () => PlotProps,
): uPlot.Options {
  const colour = palette(place);
  const font = `12px ${getComputedStyle(place).fontFamily}`;
  const axis = (format?: (value: number) => string, label?: string): uPlot.Axis => ({
    stroke: colour("muted"),
    font,
    labelFont: font,
    labelSize: 18,
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
    ...(label ? { label } : {}),
    ...(format
      ? {
          values: (_: uPlot, ticks: (number | null)[]) =>
            ticks.map((tick) => (tick === null ? null : format(tick))),
        }
      : {}),
  });
  const value = (format?: (value: number) => string) => ({
    value: (_: uPlot, raw: number | null) =>
      raw === null || raw === undefined ? "" : format ? format(raw) : String(raw),
  });
  const paths = (kind: Series["kind"]): Partial<uPlot.Series> => {
    if (kind === "bars") return { paths: uPlot.paths.bars!({ size: [BAR_SHARE, 80] }) };
    if (kind === "steps") return { paths: uPlot.paths.stepped!({ align: 1 }) };
    if (kind === "points") return { paths: () => null };
    return {};
  };
  return {
    width,
    height: props.height ?? HEIGHT,
    padding: [12, RIGHT, 0, 0],
    cursor: { drag: { x: false, y: false }, points: { size: POINT } },
    legend: { live: true },
    hooks: drawn(now, colour),
    scales: {
      x: {
        time: props.time ?? false,
        // Read at each change of the data: a window that ends now moves on.
        ...(props.xRange ? { range: (_, low, high) => [...(now().xRange ?? [low, high])] } : {}),
      },
      y: props.yLog
        ? { distr: 3 }
        : props.yRange
          ? { range: [...props.yRange] }
          : // From zero, and never empty: a flat line needs a height.
            {
              range: (_, low, high) => [
                Math.min(0, low ?? 0),
                (high ?? 0) > 0 ? 1.08 * (high ?? 1) : 1,
              ],
            },
    },
    axes: [
      {
        ...axis(props.xFormat, props.xLabel),
        size: BELOW,
        ...(props.time
          ? {
              values: (_: uPlot, ticks: number[], __: number, ___: number, by: number) =>
                moments(ticks, by),
            }
          : {}),
      },
      {
        ...axis(props.yFormat, props.yLabel),
        size: AXIS,
        ...(props.yLog
          ? { filter: sparse, grid: { stroke: colour("line"), width: 1, filter: sparse } }
          : {}),
      },
    ],
    series: [
      {
        label: props.time ? "Time" : (props.xLabel ?? "x"),
        ...value(props.time ? (at) => dayTime(1000 * at) : props.xFormat),
      },
      ...props.series.map((one) => ({
        label: one.label,
        stroke: colour(one.colour),
        width: one.kind === "bars" ? 0 : LINE,
        ...(one.dashed ? { dash: DASH } : {}),
        ...(one.kind === "bars" ? { fill: colour(one.colour, 0.55) } : {}),
        ...(one.filled ? { fill: colour(one.colour, 0.12) } : {}),
        points: {
          show: one.kind === "points" || one.kind === "dotted",
          size: POINT,
          fill: colour(one.colour),
          ...(one.kind === undefined || one.kind === "line"
            ? { filter: (u: uPlot, series: number) => alone(u.data[series] ?? []) }
            : {}),
        },
        spanGaps: false,
        ...paths(one.kind),
        ...value(props.yFormat),
      })),
    ],
  };
}

export function Drawn(props: PlotProps) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const dark = isDark.value;
  // The chart is built again if this changes; new data alone only redraws it.
  const shape = JSON.stringify([
    props.series.map(({ values: _, ...rest }) => rest),
    props.xRange !== undefined,
    props.yRange,
    props.yLog,
    props.height,
    props.time,
  ]);
  const data = () => [props.x, ...props.series.map((one) => one.values)] as uPlot.AlignedData;

  useEffect(() => {
    const box = place.current;
    if (!box) return;
    const plot = new uPlot(
      options(props, box, box.clientWidth, () => latest.current),
      data(),
      box,
    );
    chart.current = plot;
    const sized = new ResizeObserver(() => {
      if (box.clientWidth > 0 && box.clientWidth !== plot.width) {
        plot.setSize({ width: box.clientWidth, height: props.height ?? HEIGHT });
      }
    });
    sized.observe(box);
    return () => {
      sized.disconnect();
      plot.destroy();
      chart.current = null;
    };
  }, [shape, dark]);

  useEffect(() => chart.current?.setData(data()), [props.x, props.series, props.marks, props.band]);

  return (
    <figure class="plot">
      <div class="plot-place" ref={place} role="img" aria-label={props.label} />
    </figure>
  );
}
