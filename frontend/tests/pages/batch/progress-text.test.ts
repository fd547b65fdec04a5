import { expect, test } from "vitest";
import {
  type Batch,
  milestone,
  progressText,
  stateText,
  titleOf,
  uploadsText,
} from "../../../src/pages/batch/progress-text";
import type { Progress } from "../../../src/pages/batch/uploads";

const BATCH = { expected: 1_200, done: 600, failed: 3, rate: 24.06, seconds_left: 25 } as Batch;

const progress = (change: Partial<Progress>): Progress => ({
  phase: "uploading",
  sent: 40,
  unsafe: 0,
  keeps: true,
  refused: [],
  converted: [],
  missing: [],
  problem: undefined,
  ...change,
});

test("a milestone is reached once, whatever the steps between", () => {
  const seen = [0, 24, 25, 49, 50, 74.9, 75, 99, 100].map((done) => milestone(done, 100));
  expect(seen).toEqual([0, 0, 25, 25, 50, 50, 75, 75, 75]);
});

test("progress has its rate and time", () => {
  expect(progressText(BATCH)).toBe(
    "603 of 1,200 files done, 3 failed, 24 images a second, about 25 s left",
  );
  expect(progressText({ ...BATCH, done: 0, failed: 0, rate: null, seconds_left: null })).toBe(
    "0 of 1,200 files done",
  );
});

test("the tab's title has the share that is over, and then how the batch ended", () => {
  const batch = { ...BATCH, id: "1a2b", name: "monday" };
  expect(titleOf(batch, false)).toBe("50% · Batch monday");
  expect(titleOf({ ...batch, done: 1_196, name: null }, false)).toBe("99% · Batch 1a2b");
  expect(titleOf({ ...batch, expected: 0, done: 0, failed: 0 }, false)).toBe("0% · Batch monday");
  expect(titleOf({ ...batch, done: 1_197 }, true)).toBe("Finished, 3 failed · Batch monday");
  expect(titleOf({ ...batch, failed: 0 }, true)).toBe("Finished · Batch monday");
});

test("the text says whether the tab may be closed", () => {
  expect(uploadsText(progress({}), 300)).toContain("can reload or close this tab");
  expect(uploadsText(progress({ unsafe: 7 }), 300)).toContain("until the other 7 are read");
  expect(uploadsText(progress({ unsafe: 7, keeps: false }), 300)).toContain("lose the 7");
});

test("skipped files are counted apart", () => {
  const refused = [{ name: "a.jpg", why: "It is empty." }];
  expect(uploadsText(progress({ phase: "given", refused }), 41)).toBe(
    "40 of 41 files uploaded, 1 skipped.",
  );
});

test("a batch of this browser has its last known state", () => {
  const kept = { id: "x", at: 0, files: 3, original: false, largest: 1, refused: [] };
  expect(stateText({ ...kept, state: "uploading" })).toContain("Open to resume");
  expect(stateText({ ...kept, state: "finished", done: 2, failed: 1 })).toBe("2 done, 1 failed");
  expect(stateText({ ...kept, state: "finished", done: 3, failed: 0 })).toBe("3 done");
});
