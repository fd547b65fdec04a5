/** What a version's measurements say, read from the JSON that its training wrote. */
import { decimal, percent } from "../../format";
import { type Counts, countsOf } from "../../ui/confusion-matrix";

export interface Interval {
  value: number | null;
  /** The ends of the 95 % interval; null where none is given. */
  low: number | null;
  high: number | null;
  /** Why there is no value, if so. */
  reason: string | null;
}

interface Measure {
  name: string;
  label: string;
  /** What the number says, in a few words. */
  hint: string;
  format: (value: number | null) => string;
  /** Whether more is better. */
  more: boolean;
}

const share = (value: number | null) => percent(value, 1);

/** All that is told of a version, in the order in which it is shown. */
export const MEASURES: readonly Measure[] = [
  {
    name: "accuracy",
    label: "Accuracy",
    hint: "verdicts that are right",
    format: share,
    more: true,
  },
  {
    name: "precision",
    label: "Precision",
    hint: "of what it calls clickbait, how much is",
    format: share,
    more: true,
  },
  {
    name: "recall",
    label: "Recall",
    hint: "of all clickbait, how much it finds",
    format: share,
    more: true,
  },
  { name: "f1", label: "F1", hint: "precision and recall in one", format: share, more: true },
  {
    name: "auc",
    label: "AUC",
    hint: "how well it ranks; 1 is perfect, 0.5 is chance",
    format: decimal,
    more: true,
  },
  {
    name: "brier",
    label: "Brier score",
    hint: "squared error of the probability; 0 is perfect",
    format: decimal,
    more: false,
  },
  { name: "loss", label: "Loss", hint: "cross-entropy, in nats", format: decimal, more: false },
  {
    name: "expected_calibration_error",
    label: "Calibration error",
    hint: "how far its probabilities are off, on average",
    format: decimal,
    more: false,
  },
];

type Loose = Record<string, unknown>;

export const loose = (of: unknown): Loose =>
  typeof of === "object" && of !== null && !Array.isArray(of) ? (of as Loose) : {};

export const numberOr = (of: unknown): number | null =>
  typeof of === "number" && Number.isFinite(of) ? of : null;

/** A measurement by its name; what has no interval has no ends. */
export function interval(metrics: Loose, name: string): Interval {
  const told = metrics[name];
  if (typeof told === "number") return { value: told, low: null, high: null, reason: null };
  const { value, low, high, reason, after } = loose(told);
  return {
    // The calibration error is told before and after calibrating; what answers is calibrated.
    value: numberOr(value) ?? numberOr(after),
    low: numberOr(low),
    high: numberOr(high),
    reason: typeof reason === "string" ? reason : null,
  };
}

/** `ours` less `theirs`; null where one of them is not known. */
export function difference(ours: Interval, theirs: Interval): number | null {
  return ours.value === null || theirs.value === null ? null : ours.value - theirs.value;
}

/** An interval's ends, the unit told once and nothing broken over two lines: "73.9 to 86.9 %". */
export function ends(format: Measure["format"], { low, high }: Interval): string {
  return `${format(low).replace(/ %$/, "")} to ${format(high)}`.replaceAll(" ", "\u00a0");
}

/** Whether two intervals do not overlap: only then does a difference say more than chance does. */
export function clearly(one: Interval, other: Interval): boolean {
  if (one.low === null || one.high === null || other.low === null || other.high === null) {
    return false;
  }
  return one.high < other.low || other.high < one.low;
}

/** A difference as a person reads it: "+1.2 points" of shares, "−0.013" of other numbers. */
export function signed(value: number | null, of: "share" | "number" = "number"): string {
  if (value === null) return "–";
  const size = of === "share" ? 100 * Math.abs(value) : Math.abs(value);
  const text = size.toFixed(of === "share" ? 1 : 3);
  const sign = Number(text) === 0 ? "±" : value < 0 ? "\u2212" : "+";
  return of === "share" ? `${sign}${text} points` : `${sign}${text}`;
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

/** What one recipe says otherwise than the other, and how many knobs are the same. */
export function recipeChanges(ours: Loose, theirs: Loose): { changed: Changed[]; same: number } {
  const names = [...new Set([...Object.keys(ours), ...Object.keys(theirs)])];
  const changed = names
    .map((name) => ({ name, ours: knob(ours[name]), theirs: knob(theirs[name]) }))
    .filter((one) => one.ours !== one.theirs);
  return { changed, same: names.length - changed.length };
}

/** A knob's value as text; what a recipe of another day did not have yet is "–". */
export const knob = (value: unknown): string =>
  value === undefined || value === null ? "–" : String(value);

export const inWords = (name: string): string => name.replaceAll("_", " ");
