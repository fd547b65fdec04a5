import { expect, test } from "vitest";
import type { Row } from "../../../src/pages/batch/csv";
import {
  chosen,
  countsText,
  histogram,
  queryOf,
  sortedBy,
  tally,
  verdict,
  verdictsByBin,
  viewOf,
} from "../../../src/pages/batch/view";

const row = (file: string, probability: number | null, uncertain = false): Row => ({
  file,
  prediction:
    probability === null ? null : probability >= 0.5 ? "clickbait_fake" : "clickbait_real",
  is_clickbait: probability === null ? null : probability >= 0.5,
  probability,
  confidence: probability === null ? null : Math.max(probability, 1 - probability),
  uncertain: probability === null ? null : uncertain,
  model_version: probability === null ? null : "v",
  error: probability === null ? "broken" : null,
  threshold: probability === null ? null : 0.5,
});

const ROWS = [
  row("b/10.jpg", 0.9),
  row("b/9.jpg", null),
  row("A/2.jpg", 0.1),
  row("a/1.jpg", 0.6, true),
  row("c.jpg", 1),
];

const USUAL = viewOf("");
const files = (change: Partial<typeof USUAL>) =>
  chosen(ROWS, { ...USUAL, ...change }).map((place) => ROWS[place]?.file);

test("an uncertain prediction has its own verdict", () => {
  expect(ROWS.map(verdict)).toEqual([
    "clickbait",
    "failed",
    "legitimate",
    "uncertain",
    "clickbait",
  ]);
  expect(tally(ROWS)).toEqual({ clickbait: 2, legitimate: 1, uncertain: 1, failed: 1 });
  expect(countsText(tally(ROWS))).toBe("2 clickbait, 1 legitimate, 1 uncertain, 1 failed");
  expect(countsText(tally([row("a", 0.9)]))).toBe("1 clickbait");
});

test("unsorted rows keep the order of the service", () => {
  expect(files({})).toEqual(ROWS.map((one) => one.file));
});

test("rows are filtered by verdict and by a part of the name in any case", () => {
  expect(files({ verdict: "failed" })).toEqual(["b/9.jpg"]);
  expect(files({ name: " a/ " })).toEqual(["A/2.jpg", "a/1.jpg"]);
  expect(files({ name: "a/", verdict: "uncertain" })).toEqual(["a/1.jpg"]);
  expect(files({ name: "none" })).toEqual([]);
});

test("file names sort by the numbers in them", () => {
  expect(files({ by: "file" })).toEqual(["a/1.jpg", "A/2.jpg", "b/9.jpg", "b/10.jpg", "c.jpg"]);
  expect(files({ by: "file", descending: true })[0]).toBe("c.jpg");
});

test("failed files come after every probability, in both directions", () => {
  expect(files({ by: "probability" })).toEqual([
    "A/2.jpg",
    "a/1.jpg",
    "b/10.jpg",
    "c.jpg",
    "b/9.jpg",
  ]);
  expect(files({ by: "probability", descending: true }).at(-1)).toBe("b/9.jpg");
});

test("rows of one verdict keep their order", () => {
  expect(files({ by: "verdict" })).toEqual(["b/10.jpg", "c.jpg", "A/2.jpg", "a/1.jpg", "b/9.jpg"]);
});

test("sorting again reverses the order; probability begins with the highest", () => {
  const once = sortedBy({ ...USUAL, page: 3 }, "probability");
  expect(once).toMatchObject({ by: "probability", descending: true, page: 1 });
  expect(sortedBy(once, "probability").descending).toBe(false);
  expect(sortedBy(once, "file")).toMatchObject({ by: "file", descending: false });
});

test("the address holds the view, and the default view needs none", () => {
  const view = {
    verdict: "failed",
    name: "a & b/ü",
    by: "file",
    descending: true,
    page: 2,
  } as const;
  expect(viewOf(queryOf(view))).toEqual(view);
  expect(queryOf(USUAL)).toBe("");
});

test("invalid parts of an address mean the default", () => {
  expect(viewOf("?verdict=x&sort=-size&page=-1")).toMatchObject({
    verdict: null,
    by: null,
    page: 1,
  });
});

test("every probability has a bin, and 1 is in the last one", () => {
  const bins = histogram([...ROWS, row("d", 0), row("e", 0.05)]);
  expect(bins[0]).toBe(1);
  expect(bins[1]).toBe(1);
  expect(bins[19]).toBe(1);
  expect(bins.reduce((a, b) => a + b)).toBe(6);
});

test("a bin has the verdict of most of its files, which their threshold decided", () => {
  const low = { ...row("low", 0.31), prediction: "clickbait_fake" as const };
  const bins = verdictsByBin([
    low,
    { ...low },
    row("b", 0.32),
    row("c", 0.9),
    row("d", 0.52, true),
  ]);
  expect([bins[6], bins[18], bins[10], bins[0]]).toEqual([
    "clickbait",
    "clickbait",
    "uncertain",
    null,
  ]);
  expect(verdictsByBin([row("failed", null)]).every((one) => one === null)).toBe(true);
});
