import { describe, expect, it } from "vitest";
import {
  atThreshold,
  comparedText,
  reliabilitySeries,
  rocSeries,
  shares,
  summaryOf,
} from "../../../src/pages/data/curves";
import { countsOf } from "../../../src/ui/confusion-matrix";

const MATRIX = {
  labels: ["clickbait_real", "clickbait_fake"] as ("clickbait_real" | "clickbait_fake")[],
  rows: "true class" as const,
  columns: "predicted class" as const,
  counts: [
    [151, 24],
    [44, 126],
  ],
};

describe("countsOf", () => {
  it("is legitimate before clickbait, whatever the order of the labels", () => {
    expect(countsOf(MATRIX)).toEqual(MATRIX.counts);
    const turned = {
      ...MATRIX,
      labels: [...MATRIX.labels].reverse(),
      counts: [
        [126, 44],
        [24, 151],
      ],
    };
    expect(countsOf(turned)).toEqual(MATRIX.counts);
  });
});

describe("atThreshold", () => {
  const row = (threshold: number, recall: number | null, called: number | null) => ({
    threshold,
    precision: null,
    recall,
    accuracy: null,
    called,
  });
  const of = (...thresholds: ReturnType<typeof row>[]) => ({
    thresholds,
    confusion_matrix: MATRIX,
    images: 345,
  });

  it("derives the measured matrix at the service's threshold", () => {
    // Shares as in the API: rounded to four decimals.
    expect(atThreshold(of(row(0.5, 0.7412, 0.4348)), 0.5)?.counts).toEqual(MATRIX.counts);
  });

  it("takes the row nearest to the slider's binary value", () => {
    const found = atThreshold(of(row(0.29, 0.9, 0.6), row(0.3, 0.8, 0.5)), 0.1 + 0.2);
    expect(found?.row.threshold).toBe(0.3);
  });

  it("counts everything at 0 and nothing at 1", () => {
    expect(atThreshold(of(row(0, 1, 1)), 0)?.counts).toEqual([
      [0, 175],
      [0, 170],
    ]);
    expect(atThreshold(of(row(1, 0, 0)), 1)?.counts).toEqual([
      [175, 0],
      [170, 0],
    ]);
  });

  it("has no counts if recall is undefined, and no row without thresholds", () => {
    expect(atThreshold(of(row(0.5, null, 0.4)), 0.5)?.counts).toBeNull();
    expect(atThreshold(of(), 0.5)).toBeNull();
  });
});

describe("rocSeries", () => {
  it("puts the service's threshold on the curve", () => {
    const points = [
      { false_positive_rate: 0, true_positive_rate: 0 },
      { false_positive_rate: 0, true_positive_rate: 0.4 },
      { false_positive_rate: 1, true_positive_rate: 1 },
    ];
    const { x, curve, here } = rocSeries({
      roc: { auc: 0.9, reason: null, points },
      confusion_matrix: MATRIX,
    });
    expect(x).toEqual([0, 0, 24 / 175, 1]);
    expect(curve).toEqual([0, 0.4, 126 / 170, 1]);
    expect(here).toEqual([null, null, 126 / 170, null]);
  });
});

describe("reliabilitySeries", () => {
  it("leaves out bins without images, and reaches from 0 to 1", () => {
    const bin = (low: number, mean: number | null, share: number | null) => ({
      low,
      high: low + 0.1,
      images: mean === null ? 0 : 5,
      mean_probability: mean,
      share_clickbait: share,
    });
    expect(
      reliabilitySeries([bin(0, 0.04, 0.1), bin(0.1, null, null), bin(0.2, 0.25, 0.3)]),
    ).toEqual({ x: [0, 0.04, 0.25, 1], measured: [null, 0.1, 0.3, null] });
  });
});

describe("shares", () => {
  it("are of the class's own images, and the last reaches the last edge", () => {
    expect(shares({ histogram: { edges: [0, 1, 2], counts: [1, 3] } })).toEqual([0.25, 0.75, 0.75]);
  });

  it("are null for a class without images", () => {
    expect(shares({ histogram: { edges: [0, 1, 2], counts: [0, 0] } })).toEqual([null, null, null]);
  });
});

describe("another threshold in words", () => {
  const row = (threshold: number, accuracy: number, called: number) => ({
    threshold,
    precision: null,
    recall: null,
    accuracy,
    called,
  });

  it("compares it with the one in use, on the same images", () => {
    const of = {
      thresholds: [row(0.3, 0.75, 0.62), row(0.5, 0.8, 0.43)],
      confusion_matrix: MATRIX,
      images: 345,
    };
    expect(comparedText(of, 0.5, 0.3)).toBe(
      "On 345 test images: 75% of verdicts are right, now 80%; 62% are called clickbait, now 43%.",
    );
  });

  it("counts what would be called clickbait", () => {
    expect(
      summaryOf([
        [151, 24],
        [44, 126],
      ]),
    ).toBe("150 images would be called clickbait, 24 of them wrongly; 44 would be missed.");
    expect(
      summaryOf([
        [151, 0],
        [44, 0],
      ]),
    ).toBe("No image would be called clickbait.");
  });
});
