/** The gate's result for a new version, read from the JSON of its run, and in words for people. */
import { bytes, count, decimal, percent, plural } from "../../format";
import { loose, numberOr, signed } from "./metrics";

export interface Check {
  name: string;
  passed: boolean;
  value: number | null;
  limit: number | null;
  /** A sentence of its own. */
  detail: string;
}

interface Measured {
  auc: number | null;
  brier: number | null;
  /** Shares of right and of unsure answers; older gates have none. */
  accuracy?: number | null;
  unsure?: number | null;
}

export const COMPARED = ["candidate", "champion", "best"] as const;

/** One set of images that all versions were measured on, and their scores. */
export interface ExamSet extends Partial<Record<(typeof COMPARED)[number], Measured>> {
  images: number;
  classes: Record<string, number>;
}

export interface Gate {
  passed: boolean;
  reason: string;
  candidate: string;
  champion: string;
  best: string;
  checks: Check[];
  sets: Record<string, ExamSet>;
  auc_difference: number | null;
  /** Sentences for people, also if it passed; older gates have none. */
  warnings?: string[];
}

/** One model's scores on one of the gate's sets. Shares of a small update stand beside the sets. */
export function scoresOf(gate: Gate, set: string, model: (typeof COMPARED)[number]): Measured {
  const { accuracy, unsure } = loose(loose(loose(gate)[set])[model]);
  const found = { auc: null, brier: null, ...gate.sets[set]?.[model] };
  return {
    ...found,
    accuracy: found.accuracy ?? numberOr(accuracy),
    unsure: found.unsure ?? numberOr(unsure),
  };
}

/** The gate's result; null if there is none. */
export function gateOf(value: unknown): Gate | null {
  const gate = loose(value);
  return typeof gate.passed === "boolean" && Array.isArray(gate.checks)
    ? (gate as unknown as Gate)
    : null;
}

export interface CheckText {
  title: string;
  /** The value and its limit; empty for checks without a number. */
  found: string;
  required: string;
  /** For a comparison: its place from -1 to 1, with the limit at -0.5 or 0.5. */
  place: number | null;
}

const NAMES: Record<string, string> = {
  champion: "the live model",
  best: "the best version",
  shipped: "the shipped model",
};

/** Sets of images that a check is about. */
const ON: Record<string, string> = {
  test: "test images",
  exam: "exam images",
  own: "your images",
  world: "thumbnails of the shipped kind",
};

const share = (value: number | null) => percent(value, 0);

/** A check in words for people. */
export function checkText({ name, value, limit }: Check): CheckText {
  const [kind = name, set = ""] = name.split(", ");
  const on = ON[set] ?? `${set} images`;
  const plain = (title: string, found = "", required = ""): CheckText => ({
    title,
    found,
    required,
    place: null,
  });
  // On the owner's images a small update is compared with the live model.
  const against =
    /^(auc|brier) against (\w+)$/.exec(kind) ??
    (set === "own" && /^(auc|brier)$/.test(kind) ? [kind, kind, "champion"] : null);
  if (against) {
    const [, measure, other = ""] = against;
    const more = measure === "auc";
    return {
      title: `${more ? "AUC" : "Brier score"} against ${NAMES[other] ?? other}, ${on}`,
      found: signed(value),
      required: `${more ? "more" : "less"} than ${limit === 0 ? "0" : signed(limit)}`,
      place: value === null || !limit ? null : clamp(value / (2 * Math.abs(limit))),
    };
  }
  switch (kind) {
    case "evidence":
      return plain(`Enough ${on}`, count(value), `at least ${count(limit)}`);
    case "enough images":
      return plain("Enough of your images", count(value), `at least ${count(limit)}`);
    case "finite":
      return plain(`Valid answers, ${on}`, `${count(value)} invalid`, "none");
    case "file size":
      return plain("File size", bytes(value), `at most ${bytes(limit)}`);
    case "golden images":
      return plain("Built-in sanity images", plural(value ?? 0, "regression"), "none");
    case "a change is called for":
      return plain(
        "Need for a change",
        `${share(value)} for the live model`,
        `less than ${share(limit)}`,
      );
    case "auc above chance":
      return plain(`Better than chance, ${on}`, decimal(value), `more than ${decimal(limit)}`);
    case "ece":
      return plain(`Calibration error, ${on}`, decimal(value), `at most ${decimal(limit)}`);
    case "unsure":
      return plain(`Unsure answers, ${on}`, share(value), `at most ${share(limit)}`);
    case "loads":
      return plain("Loads for serving");
    default:
      return plain(name);
  }
}

const clamp = (value: number) => Math.max(-1, Math.min(1, value));
