import { expect, test } from "vitest";
import { thresholdText } from "../../../src/pages/models/names";
import { changeText } from "../../../src/pages/models/try-text";

const judged = (probability: number, bait: boolean, uncertain = false) => ({
  prediction: bait ? "clickbait_fake" : "clickbait_real",
  probability,
  uncertain,
});

test.each([
  [
    judged(0.31, false),
    judged(0.84, true),
    "Legitimate before, clickbait now: 31% to 84% clickbait.",
  ],
  [
    judged(0.6, true, true),
    judged(0.84, true),
    "Unsure, leaning clickbait before, clickbait now: 60% to 84% clickbait.",
  ],
  [judged(0.8, true), judged(0.84, true), "Clickbait, as before: 80% to 84% clickbait."],
  [judged(0.84, true), judged(0.84, true), "Clickbait, as before: 84% clickbait."],
  // The verdict is the service's, whatever the probability: its threshold may be 0.3.
  [
    judged(0.35, false),
    judged(0.35, true),
    "Legitimate before, clickbait now: 35% to 35% clickbait.",
  ],
])("%o and %o: %s", (before, after, text) => {
  expect(changeText({ before, after })).toBe(text);
});

test("a record of the release history is of a version or of a threshold", () => {
  expect(thresholdText({})).toBeNull();
  expect(thresholdText({ change: "version", threshold: 0.35 })).toBeNull();
  expect(thresholdText({ change: "threshold", threshold: 0.35 })).toBe(
    "New threshold: clickbait from 35% on.",
  );
  expect(thresholdText({ change: "threshold" })).toBe("The model’s own threshold again.");
});
