import { expect, it } from "vitest";
import {
  confusionOf,
  ends,
  interval,
  MEASURES,
  recipeChanges,
  signed,
} from "../../../src/pages/models/metrics";

const metrics = {
  auc: { value: 0.9, low: 0.85, high: 0.94 },
  loss: 0.42,
  expected_calibration_error: { before: 0.05, after: 0.07, perfect_at_this_n: 0.04 },
  recall: { value: null, low: null, high: null, reason: "there is no clickbait image" },
};

it("a measurement has an interval, none, or the reason for having no value", () => {
  expect(interval(metrics, "auc")).toEqual({ value: 0.9, low: 0.85, high: 0.94, reason: null });
  expect(interval(metrics, "loss")).toEqual({ value: 0.42, low: null, high: null, reason: null });
  expect(interval(metrics, "recall").reason).toBe("there is no clickbait image");
  expect(interval(metrics, "no such").value).toBeNull();
});

it("the calibration error is that after calibration", () => {
  expect(interval(metrics, "expected_calibration_error").value).toBe(0.07);
});

it("the ends of an interval have one unit, and stay on one line", () => {
  const of = (name: string) => MEASURES.find((one) => one.name === name)!.format;
  const one = { value: 0.8, low: 0.7391, high: 0.8686, reason: null };
  expect(ends(of("accuracy"), one)).toBe("73.9\u00a0to\u00a086.9%");
  expect(ends(of("auc"), one)).toBe("0.739\u00a0to\u00a00.869");
});

it("a difference has its sign, unless it rounds to zero", () => {
  expect(signed(0.0123)).toBe("+0.012");
  expect(signed(-0.0123)).toBe("\u22120.012");
  expect(signed(-0.0001)).toBe("±0.000");
  expect(signed(null)).toBe("–");
});

it("two recipes are compared by what differs", () => {
  expect(recipeChanges({ epochs: 10, seed: 0, mixup: 0.4 }, { epochs: 3, seed: 0 })).toEqual({
    changed: [
      { name: "epochs", ours: "10", theirs: "3" },
      { name: "mixup", ours: "0.4", theirs: "–" },
    ],
    same: 1,
  });
});

it("a version without a confusion matrix has none", () => {
  expect(confusionOf({})).toBeNull();
  const counts = [
    [1, 2],
    [3, 4],
  ];
  const labels = ["clickbait_real", "clickbait_fake"];
  expect(confusionOf({ confusion_matrix: { labels, counts } })).toEqual(counts);
});
