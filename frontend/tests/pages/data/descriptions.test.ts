import { describe, expect, it } from "vitest";
import {
  BAIT,
  balance,
  compared,
  doubtedFirst,
  effect,
  fileOf,
  labelOfKey,
  REAL,
  signed,
} from "../../../src/pages/data/descriptions";

const counts = (bait: number, real: number) => ({ [BAIT]: bait, [REAL]: real });
const spread = (median: number | null, sd: number | null = 10) => ({
  mean: median,
  sd,
  percentiles: { p50: median },
});

describe("balance", () => {
  it("calls classes balanced if the smaller one has two fifths", () => {
    expect(balance(counts(60, 40))).toBe("60% clickbait: well balanced.");
  });

  it("says how many images of which class would balance them", () => {
    expect(balance(counts(65, 35))).toContain("30 more legitimate images would balance them");
    expect(balance(counts(10, 90))).toContain("unbalanced");
    expect(balance(counts(10, 90))).toContain("80 more clickbait images");
  });

  it("says that training needs both classes", () => {
    expect(balance(counts(5, 0))).toBe("No legitimate images yet. Training needs both classes.");
    expect(balance(counts(0, 5))).toContain("No clickbait image");
  });
});

describe("compared", () => {
  it("says which class is higher, by how much, and both medians", () => {
    expect(compared("brightness", spread(127), spread(103))).toBe(
      "Clickbait is far brighter: median 127 and 103, mean 127 and 103.",
    );
    expect(compared("contrast", spread(57), spread(60))).toContain("slightly lower in contrast");
  });

  it("ignores a difference that is small against the spread", () => {
    expect(compared("saturation", spread(0.3, 0.2), spread(0.31, 0.2))).toContain(
      "Saturation is about the same in both classes",
    );
  });

  it("compares nothing if one class has no images", () => {
    expect(compared("brightness", spread(null, null), spread(90))).toBe(
      "Only one class has images; its median is 90.",
    );
  });

  it("does not fail on identical images", () => {
    expect(compared("brightness", spread(5, 0), spread(5, 0))).toContain("about the same");
    expect(compared("brightness", spread(6, 0), spread(5, 0))).toContain("far brighter");
  });
});

describe("effect", () => {
  const of = (rho: number | null) =>
    effect({ name: "brightness", with_probability: rho, reason: "one image is too few" });

  it("names the direction and, by Cohen's steps, the size", () => {
    expect(of(0.2)).toBe("Brighter images are slightly more often called clickbait.");
    expect(of(-0.44)).toBe("Darker images are clearly more often called clickbait.");
    expect(of(0.7)).toContain("far more often");
  });

  it("ignores a correlation below 0.1", () => {
    expect(of(-0.09)).toBe("Brightness has little effect on the verdict.");
  });

  it("gives the service's reason if there is none", () => {
    expect(of(null)).toBe("Unknown: one image is too few.");
  });
});

it("a correlation has its sign, unless it is zero", () => {
  expect([signed(0.444), signed(-0.0718), signed(-0.001), signed(null)]).toEqual([
    "+0.44",
    "−0.07",
    "0.00",
    "–",
  ]);
});

it("a key has the label of its folder, under either name", () => {
  expect(labelOfKey("train/legitimate/a.jpg")).toBe(REAL);
  expect(labelOfKey("train/clickbait_real/a.jpg")).toBe(REAL);
  expect(labelOfKey("train/clickbait/legitimate/a.jpg")).toBe(BAIT);
  expect(fileOf("train/clickbait/deep/a b.jpg")).toBe("a b.jpg");
});

it("families with both labels come first; the others keep their order", () => {
  const [a, b, c] = [{ labels: [BAIT] }, { labels: [BAIT, REAL] }, { labels: [REAL] }] as const;
  const items = [a, b, c].map(({ labels }) => ({ labels: [...labels] }));
  expect(doubtedFirst(items)).toEqual([items[1], items[0], items[2]]);
});
