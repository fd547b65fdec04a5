/** What the gate said of a candidate, read from the JSON that a run keeps, and in a reader's words. */
import { bytes, count } from "../../format";
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

/** Images that all were measured on, and what each did there. */
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

/** The gate's verdict; null where there is none. */
export function gateOf(told: unknown): Gate | null {
  const gate = loose(told);
  return typeof gate.passed === "boolean" && Array.isArray(gate.checks)
    ? (gate as unknown as Gate)
    : null;
}

export interface InWords {
  title: string;
  /** What was found, and what is asked for; empty where a check has no number. */
  found: string;
  asked: string;
  /** For a bound with a margin: where it lies, -1 to 1, the limit being at -0.5 or 0.5. */
  place: number | null;
}

const NAMES: Record<string, string> = { champion: "the champion", best: "the best version" };

/** A check as a reader understands it. */
export function inWords({ name, value, limit }: Check): InWords {
  const [what = name, set = ""] = name.split(", ");
  const plain = (title: string, found = "", asked = ""): InWords => ({
    title,
    found,
    asked,
    place: null,
  });
  const against = /^(auc|brier) against (\w+)$/.exec(what);
  if (against) {
    const [, measure, other = ""] = against;
    const more = measure === "auc";
    return {
      title: `${more ? "AUC" : "Brier score"} against ${NAMES[other] ?? other}, ${set} images`,
      found: signed(value),
      asked: `${more ? "more" : "less"} than ${signed(limit)}`,
      place: value === null || !limit ? null : clamp(value / (2 * Math.abs(limit))),
    };
  }
  if (what === "evidence") {
    return plain(`Enough ${set} images to tell`, count(value), `${count(limit)} at least`);
  }
  if (what === "finite") {
    return plain(`Every answer is a number, ${set} images`, `${count(value)} are not`, "none");
  }
  if (what === "file size") return plain("File size", bytes(value), `${bytes(limit)} at most`);
  if (what === "golden images") {
    return plain("The drawn images", `${count(value)} lost`, "none");
  }
  return plain(what === "loads" ? "It can be served" : name);
}

const clamp = (value: number) => Math.max(-1, Math.min(1, value));
