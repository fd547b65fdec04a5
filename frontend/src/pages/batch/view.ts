/** Which results of a batch are shown, and in which order; the address holds both. */
import { count } from "../../format";
import { toneOf } from "../../ui/verdict";
import type { Row } from "./csv";

export const VERDICTS = ["clickbait", "legitimate", "uncertain", "failed"] as const;
export type Verdict = (typeof VERDICTS)[number];

const SORTS = ["file", "verdict", "probability"] as const;
export type By = (typeof SORTS)[number];

export interface View {
  verdict: Verdict | null;
  /** Part of the file's name. */
  name: string;
  /** Null: in the order of the files. */
  by: By | null;
  descending: boolean;
  /** From 1 on. */
  page: number;
}

/** Rows on one page: as many as a phone lays out without delay. */
export const PAGE = 100;

export const BINS = 20;

const one = <T extends string>(known: readonly T[], value: string | null | undefined): T | null =>
  known.find((each) => each === value) ?? null;

/** The view that an address's query describes, with defaults for what it does not understand. */
export function viewOf(search: string): View {
  const query = new URLSearchParams(search);
  const sort = query.get("sort") ?? "";
  const page = Number(query.get("page"));
  return {
    verdict: one(VERDICTS, query.get("verdict")),
    name: query.get("name") ?? "",
    by: one(SORTS, sort.replace(/^-/, "")),
    descending: sort.startsWith("-"),
    page: Number.isInteger(page) && page > 0 ? page : 1,
  };
}

/** The query that describes `view`, with its question mark; empty for the default view. */
export function queryOf({ verdict, name, by, descending, page }: View): string {
  const query = new URLSearchParams();
  if (verdict) query.set("verdict", verdict);
  if (name) query.set("name", name);
  if (by) query.set("sort", descending ? `-${by}` : by);
  if (page > 1) query.set("page", String(page));
  const text = query.toString();
  return text && `?${text}`;
}

/** `view` sorted by `by`, reversed if it already is; probabilities begin with the highest. */
export function sortedBy(view: View, by: By): View {
  const descending = view.by === by ? !view.descending : by === "probability";
  return { ...view, by, descending, page: 1 };
}

export function verdict(row: Row): Verdict {
  if (row.prediction === null || row.uncertain === null) return "failed";
  const tone = toneOf({ prediction: row.prediction, uncertain: row.uncertain });
  return tone === "unsure" ? "uncertain" : tone === "bait" ? "clickbait" : "legitimate";
}

const letters = new Intl.Collator("en", { numeric: true });

const ORDER: Record<By, (a: Row, b: Row) => number> = {
  file: (a, b) => letters.compare(a.file, b.file),
  verdict: (a, b) => VERDICTS.indexOf(verdict(a)) - VERDICTS.indexOf(verdict(b)),
  probability: (a, b) => (a.probability ?? 0) - (b.probability ?? 0),
};

/** The places of the rows that `view` shows on all of its pages, in its order. */
export function chosen(rows: readonly Row[], view: View): number[] {
  const part = view.name.trim().toLowerCase();
  const places: number[] = [];
  for (const [place, row] of rows.entries()) {
    if (view.verdict && verdict(row) !== view.verdict) continue;
    if (part && !row.file.toLowerCase().includes(part)) continue;
    places.push(place);
  }
  if (!view.by) return places;
  const { by, descending } = view;
  const compare = ORDER[by];
  return places.sort((x, y) => {
    const [a, b] = [rows[x] as Row, rows[y] as Row];
    // Files without a probability come last, in either direction.
    const missing =
      by === "probability" ? Number(a.probability === null) - Number(b.probability === null) : 0;
    return missing || (descending ? -1 : 1) * compare(a, b) || x - y;
  });
}

export function tally(rows: readonly Row[]): Record<Verdict, number> {
  const counts = { clickbait: 0, legitimate: 0, uncertain: 0, failed: 0 };
  for (const row of rows) counts[verdict(row)] += 1;
  return counts;
}

const binOf = (probability: number) => Math.min(BINS - 1, Math.floor(probability * BINS));

/** How many rows have a probability in each of BINS equal steps from 0 to 1. */
export function histogram(rows: readonly Row[]): number[] {
  const bins = new Array<number>(BINS).fill(0);
  for (const { probability } of rows) {
    if (probability === null) continue;
    const bin = binOf(probability);
    bins[bin] = (bins[bin] ?? 0) + 1;
  }
  return bins;
}

/** The verdict of most files in each bin of `histogram`; null if it is empty. */
export function verdictsByBin(rows: readonly Row[]): (Verdict | null)[] {
  const bins = Array.from({ length: BINS }, () => [] as Row[]);
  for (const row of rows) {
    if (row.probability !== null) bins[binOf(row.probability)]?.push(row);
  }
  return bins.map((inside) => {
    const counts = tally(inside);
    const most = Math.max(...VERDICTS.map((each) => counts[each]));
    return VERDICTS.find((each) => most > 0 && counts[each] === most) ?? null;
  });
}

/** "12 clickbait, 15 legitimate, 2 uncertain, 1 failed", without those that are zero. */
export const countsText = (counts: Record<Verdict, number>): string =>
  VERDICTS.filter((each) => counts[each] > 0)
    .map((each) => `${count(counts[each])} ${each}`)
    .join(", ");
