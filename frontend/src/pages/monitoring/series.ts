/** Metrics as data for charts and tables, and in words. */
import type { Schemas } from "../../api/client";
import { count, milliseconds, percent, plural } from "../../format";

type Metrics = Schemas["Metrics"];
export type Window = Metrics["window"];

export const WINDOWS: readonly { window: Window; name: string; every: number }[] = [
  { window: "1h", name: "Last hour", every: 60_000 },
  { window: "24h", name: "Last day", every: 60_000 },
  { window: "7d", name: "Last week", every: 60_000 },
];

/** The window in the address; a day if there is none, or it is unknown. */
export const windowOf = (name: string | undefined) =>
  WINDOWS.find(({ window }) => window === name) ?? WINDOWS[1]!;

const share = (part: number, whole: number): number | null => (whole > 0 ? part / whole : null);

/** A number for a chart; null, which is not drawn, for zero. */
const some = (n: number): number | null => (n > 0 ? n : null);

/** One array for each line of a chart over `x` in seconds; shares are null without predictions. */
export function seriesOf({ points }: Pick<Metrics, "points">) {
  const predicted = points.map((point) => point.clickbait + point.legitimate);
  const shareOf = (name: "clickbait" | "legitimate" | "uncertain") =>
    points.map((point, at) => share(point[name], predicted[at] ?? 0));
  return {
    x: points.map((point) => Date.parse(point.at) / 1000),
    requests: points.map((point) => point.requests),
    coldStarts: points.map((point) => some(point.cold_starts)),
    clientErrors: points.map((point) => point.client_errors),
    faults: points.map((point) => some(point.faults)),
    p50: points.map((point) => point.latency_ms.p50),
    p95: points.map((point) => point.latency_ms.p95),
    p99: points.map((point) => point.latency_ms.p99),
    clickbait: shareOf("clickbait"),
    legitimate: shareOf("legitimate"),
    uncertain: shareOf("uncertain"),
  };
}

/** The window in a sentence, for screen readers. */
export function summary({ totals }: Pick<Metrics, "totals">): string {
  const { requests, client_errors, faults, latency_ms, shares } = totals;
  if (requests === 0) return "No requests.";
  return (
    `${plural(requests, "request")}, ${plural(client_errors, "client error")}, ` +
    `${plural(faults, "fault")}, p95 ${milliseconds(latency_ms.p95)}, ` +
    `${percent(shares.clickbait)} clickbait.`
  );
}

export const LEVELS = {
  none: { name: "no change", tone: "good" },
  moderate: { name: "some change", tone: "warn" },
  large: { name: "clear change", tone: "bad" },
} as const;

/** The place of a drift index on its track, 0 to 1: twice the large threshold fills it. */
export const onTrack = (value: number, large: number): number =>
  Math.min(1, Math.max(0, value / (2 * large)));

/** The purpose of each function. */
export const PURPOSES: Record<Metrics["functions"][number]["function"], string> = {
  predict: "single images and the service’s state",
  batch: "up to ten images, uploads, batches",
  worker: "images of batches",
  admin: "models, data, corrections, metrics",
  retrain: "checks uploads and starts trainings",
  learn: "small updates of the live model",
};

/** The peak memory of a function, and its limit on Lambda. */
export function memory(used: number | null, limit: number | null): string {
  if (used === null) return "–";
  return limit === null ? `${count(used)} MB` : `${count(used)} of ${count(limit)} MB`;
}
