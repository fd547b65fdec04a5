/** The measurements of a version, read from the JSON that its training wrote. */
import { decimal, percent } from "../../format";
import { type Counts, countsOf } from "../../ui/confusion-matrix";

export interface Interval {
  value: number | null;
  /** The ends of the 95% interval; null if there is none. */
  low: number | null;
  high: number | null;
  /** Why there is no value. */
  reason: string | null;
}

interface Measure {
  name: string;
  label: string;
  /** The number in a few words. */
  hint: string;
  format: (value: number | null) => string;
}

const share = (value: number | null) => percent(value, 1);

/** All measurements of a version, in the order in which they are shown. */
export const MEASURES: readonly Measure[] = [
  {
    name: "accuracy",
    label: "Accuracy",
    hint: "share of correct verdicts",
    format: share,
  },
  {
    name: "precision",
    label: "Precision",
    hint: "share of “clickbait” verdicts that are right",
    format: share,
  },
  {
    name: "recall",
    label: "Recall",
    hint: "share of all clickbait that is found",
    format: share,
  },
  { name: "f1", label: "F1", hint: "precision and recall combined", format: share },
  {
    name: "auc",
    label: "AUC",
    hint: "quality of the ranking; 1 is perfect, 0.5 is chance",
    format: decimal,
  },
  {
    name: "brier",
    label: "Brier score",
    hint: "squared error of the probability; 0 is perfect",
    format: decimal,
  },
  { name: "loss", label: "Loss", hint: "cross-entropy, in nats", format: decimal },
  {
    name: "expected_calibration_error",
    label: "Calibration error",
    hint: "average error of the probabilities",
    format: decimal,
  },
];

type Loose = Record<string, unknown>;

export const loose = (of: unknown): Loose =>
  typeof of === "object" && of !== null && !Array.isArray(of) ? (of as Loose) : {};

export const numberOr = (of: unknown): number | null =>
  typeof of === "number" && Number.isFinite(of) ? of : null;

/** A measurement by its name; `low` and `high` are null without an interval. */
export function interval(metrics: Loose, name: string): Interval {
  const measured = metrics[name];
  if (typeof measured === "number") return { value: measured, low: null, high: null, reason: null };
  const { value, low, high, reason, after } = loose(measured);
  return {
    // The calibration error has a value before and after calibration; the model serves calibrated.
    value: numberOr(value) ?? numberOr(after),
    low: numberOr(low),
    high: numberOr(high),
    reason: typeof reason === "string" ? reason : null,
  };
}

/** An interval's ends with one unit, on one line: "73.9 to 86.9%". */
export function ends(format: Measure["format"], { low, high }: Interval): string {
  return `${format(low).replace(/%$/, "")} to ${format(high)}`.replaceAll(" ", "\u00a0");
}

/** A difference for people: "−0.013". */
export function signed(value: number | null): string {
  if (value === null) return "–";
  const text = Math.abs(value).toFixed(3);
  const sign = Number(text) === 0 ? "±" : value < 0 ? "\u2212" : "+";
  return `${sign}${text}`;
}

/** The confusion matrix, or null if a version has none. */
export function confusionOf(metrics: Loose): Counts | null {
  const { labels, counts } = loose(metrics.confusion_matrix);
  if (!Array.isArray(labels) || !Array.isArray(counts)) return null;
  return countsOf({ labels, counts });
}

export interface Changed {
  name: string;
  ours: string;
  theirs: string;
}

/** The settings that differ between two recipes, and how many are the same. */
export function recipeChanges(ours: Loose, theirs: Loose): { changed: Changed[]; same: number } {
  const names = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])];
  const changed = names
    .map((name) => ({ name, ours: settingText(ours[name]), theirs: settingText(theirs[name]) }))
    .filter((one) => one.ours !== one.theirs);
  return { changed, same: names.length - changed.length };
}

/** A setting's value as text; "–" if an older recipe does not have it. */
export const settingText = (value: unknown): string =>
  value === undefined || value === null ? "–" : String(value);

export const withSpaces = (name: string): string => name.replaceAll("_", " ");
