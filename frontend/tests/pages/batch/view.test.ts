import { expect, test } from "vitest";
import type { Row } from "../../../src/pages/batch/csv";
import {
  chosen,
  histogram,
  inWords,
  queryOf,
  sortedBy,
  tally,
  verdict,
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

test("a verdict is what the model is sure of", () => {
  expect(ROWS.map(verdict)).toEqual([
    "clickbait",
    "failed",
    "legitimate",
    "uncertain",
    "clickbait",
  ]);
  expect(tally(ROWS)).toEqual({ clickbait: 2, legitimate: 1, uncertain: 1, failed: 1 });
  expect(inWords(tally(ROWS))).toBe("2 clickbait, 1 legitimate, 1 uncertain, 1 failed");
  expect(inWords(tally([row("a", 0.9)]))).toBe("1 clickbait");
});

test("unsorted, rows are in the order of the service", () => {
  expect(files({})).toEqual(ROWS.map((one) => one.file));
});

test("rows are filtered by verdict and by a part of the name in any case", () => {
  expect(files({ verdict: "failed" })).toEqual(["b/9.jpg"]);
  expect(files({ name: " a/ " })).toEqual(["A/2.jpg", "a/1.jpg"]);
  expect(files({ name: "a/", verdict: "uncertain" })).toEqual(["a/1.jpg"]);
  expect(files({ name: "none" })).toEqual([]);
});

test("files are sorted as people count", () => {
  expect(files({ by: "file" })).toEqual(["a/1.jpg", "A/2.jpg", "b/9.jpg", "b/10.jpg", "c.jpg"]);
  expect(files({ by: "file", descending: true })[0]).toBe("c.jpg");
});

test("what failed is behind every probability, both ways", () => {
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

test("sorting again turns it round; probability begins with the highest", () => {
  const once = sortedBy({ ...USUAL, page: 3 }, "probability");
  expect(once).toMatchObject({ by: "probability", descending: true, page: 1 });
  expect(sortedBy(once, "probability").descending).toBe(false);
  expect(sortedBy(once, "file")).toMatchObject({ by: "file", descending: false });
});

test("an address says the view, and the usual one says nothing", () => {
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

test("what an address says wrongly is as usual", () => {
  expect(viewOf("?verdict=x&sort=-size&page=-1")).toMatchObject({
    verdict: null,
    by: null,
    page: 1,
  });
});

test("every probability is in a bin, 1 in the last one", () => {
  const bins = histogram([...ROWS, row("d", 0), row("e", 0.05)]);
  expect(bins[0]).toBe(1);
  expect(bins[1]).toBe(1);
  expect(bins[19]).toBe(1);
  expect(bins.reduce((a, b) => a + b)).toBe(6);
});
