/** The curves of an evaluation as data for charts, and its counts at any threshold. */
import type { Schemas } from "../../api/client";
import { count, percent, plural } from "../../format";
import { type Counts, countsOf } from "../../ui/confusion-matrix";

type Evaluation = Schemas["Evaluation"];
type Measured = Pick<Evaluation, "thresholds" | "confusion_matrix" | "images">;

/** The threshold's row, and the counts that follow from its shares; null if one is undefined. */
export function atThreshold(
  of: Measured,
  threshold: number,
): { row: Evaluation["thresholds"][number]; counts: Counts | null } | null {
  const row = of.thresholds.reduce<Evaluation["thresholds"][number] | null>(
    (best, one) =>
      !best || Math.abs(one.threshold - threshold) < Math.abs(best.threshold - threshold)
        ? one
        : best,
    null,
  );
  if (!row) return null;
  if (row.recall === null || row.called === null) return { row, counts: null };
  const [real, bait] = countsOf(of.confusion_matrix).map(([a, b]) => a + b) as [number, number];
  const hit = Math.round(row.recall * bait);
  const called = Math.round(row.called * of.images);
  const counts: Counts = [
    [real - (called - hit), called - hit],
    [bait - hit, hit],
  ];
  return { row, counts };
}

/** The ROC curve, the diagonal of guessing, and the point of the service's threshold. */
export function rocSeries(evaluation: Pick<Evaluation, "roc" | "confusion_matrix">): {
  x: number[];
  curve: number[];
  here: (number | null)[];
} {
  const [[kept, wrong], [missed, hit]] = countsOf(evaluation.confusion_matrix);
  const here = { x: wrong / (wrong + kept), y: hit / (hit + missed), here: true };
  const points = [
    ...evaluation.roc.points.map((point) => ({
      x: point.false_positive_rate,
      y: point.true_positive_rate,
      here: false,
    })),
    here,
  ].sort((a, b) => a.x - b.x || a.y - b.y);
  return {
    x: points.map((point) => point.x),
    curve: points.map((point) => point.y),
    here: points.map((point) => (point.here ? point.y : null)),
  };
}

/** Predicted against true share of clickbait, for bins with images; from 0 to 1. */
export function reliabilitySeries(bins: Evaluation["reliability"]): {
  x: number[];
  measured: (number | null)[];
} {
  const known = bins.flatMap((bin) =>
    bin.mean_probability === null || bin.share_clickbait === null
      ? []
      : [{ x: bin.mean_probability, y: bin.share_clickbait as number | null }],
  );
  const points = [{ x: 0, y: null }, ...known, { x: 1, y: null }];
  return { x: points.map((point) => point.x), measured: points.map((point) => point.y) };
}

/** A histogram as steps: each edge with the share of the class in the bin after it. */
export function shares({ histogram }: Pick<Schemas["Spread"], "histogram">): (number | null)[] {
  const all = histogram.counts.reduce((sum, one) => sum + one, 0);
  if (all === 0) return histogram.edges.map(() => null);
  const parts = histogram.counts.map((one) => one / all);
  return [...parts, parts.at(-1) ?? 0];
}

/** The verdicts that a threshold would give, in a sentence. */
export function summaryOf([[, wrong], [missed, hit]]: Counts): string {
  if (hit + wrong === 0) return "No image would be called clickbait.";
  return (
    `${plural(hit + wrong, "image")} would be called clickbait, ${count(wrong)} of them wrongly; ` +
    `${count(missed)} would be missed.`
  );
}

/** The accuracy at another threshold beside that at the one in use, in a sentence. */
export function comparedText(of: Measured, used: number, asked: number): string {
  const [before, after] = [atThreshold(of, used)?.row, atThreshold(of, asked)?.row];
  return (
    `On ${plural(of.images, "test image")}: ${percent(after?.accuracy)} of verdicts are right, now ` +
    `${percent(before?.accuracy)}; ${percent(after?.called)} are called clickbait, now ` +
    `${percent(before?.called)}.`
  );
}
