/** The gate's result for a new version, read from the JSON of its run, and in words for people. */
import { bytes, count, plural } from "../../format";
import { loose, signed } from "./metrics";

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

const NAMES: Record<string, string> = { champion: "the live model", best: "the best version" };

/** A check in words for people. */
export function checkText({ name, value, limit }: Check): CheckText {
  const [kind = name, set = ""] = name.split(", ");
  const plain = (title: string, found = "", required = ""): CheckText => ({
    title,
    found,
    required,
    place: null,
  });
  const against = /^(auc|brier) against (\w+)$/.exec(kind);
  if (against) {
    const [, measure, other = ""] = against;
    const more = measure === "auc";
    return {
      title: `${more ? "AUC" : "Brier score"} against ${NAMES[other] ?? other}, ${set} images`,
      found: signed(value),
      required: `${more ? "more" : "less"} than ${signed(limit)}`,
      place: value === null || !limit ? null : clamp(value / (2 * Math.abs(limit))),
    };
  }
  if (kind === "evidence") {
    return plain(`Enough ${set} images`, count(value), `at least ${count(limit)}`);
  }
  if (kind === "finite") {
    return plain(`Valid answers, ${set} images`, `${count(value)} invalid`, "none");
  }
  if (kind === "file size") return plain("File size", bytes(value), `at most ${bytes(limit)}`);
  if (kind === "golden images") {
    return plain("Built-in sanity images", plural(value ?? 0, "regression"), "none");
  }
  return plain(kind === "loads" ? "Loads for serving" : name);
}

const clamp = (value: number) => Math.max(-1, Math.min(1, value));
