import { expect, test } from "vitest";
import type { Told } from "../../../src/pages/batch/uploads";
import {
  type Batch,
  milestone,
  progressInWords,
  stateInWords,
  uploadsInWords,
} from "../../../src/pages/batch/words";

const BATCH = { expected: 1_200, done: 600, failed: 3, rate: 24.06, seconds_left: 25 } as Batch;

const told = (change: Partial<Told>): Told => ({
  phase: "uploading",
  sent: 40,
  unsafe: 0,
  keeps: true,
  refused: [],
  lacking: [],
  problem: undefined,
  ...change,
});

test("a milestone is told once, whatever the steps between", () => {
  const seen = [0, 24, 25, 49, 50, 74.9, 75, 99, 100].map((done) => milestone(done, 100));
  expect(seen).toEqual([0, 0, 25, 25, 50, 50, 75, 75, 75]);
});

test("progress is told with its rate and time", () => {
  expect(progressInWords(BATCH)).toBe(
    "603 of 1,200 files looked at, 3 failed, 24 images a second, about 25 s left",
  );
  expect(progressInWords({ ...BATCH, done: 0, failed: 0, rate: null, seconds_left: null })).toBe(
    "0 of 1,200 files looked at",
  );
});

test("it is said when the page may be reloaded, and when it may not", () => {
  expect(uploadsInWords(told({}), 300)).toContain("may be reloaded: it goes on");
  expect(uploadsInWords(told({ unsafe: 7 }), 300)).toContain("until the other 7 are read");
  expect(uploadsInWords(told({ unsafe: 7, keeps: false }), 300)).toContain("would lose the 7");
});

test("files that were not taken are counted apart", () => {
  const refused = [{ name: "a.jpg", why: "It is empty." }];
  expect(uploadsInWords(told({ phase: "given", refused }), 41)).toBe(
    "40 of 41 files uploaded, 1 not taken.",
  );
});

test("a batch of this browser is told as it was last known", () => {
  const kept = { id: "x", at: 0, files: 3, original: false, largest: 1, refused: [] };
  expect(stateInWords({ ...kept, state: "uploading" })).toContain("open it to go on");
  expect(stateInWords({ ...kept, state: "finished", done: 2, failed: 1 })).toBe(
    "2 predicted, 1 failed",
  );
  expect(stateInWords({ ...kept, state: "finished", done: 3, failed: 0 })).toBe("3 predicted");
});
