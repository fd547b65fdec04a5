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
} from "../../../src/pages/data/words";

const counts = (bait: number, real: number) => ({ [BAIT]: bait, [REAL]: real });
const spread = (median: number | null, sd: number | null = 10) => ({
  mean: median,
  sd,
  percentiles: { p50: median },
});

describe("balance", () => {
  it("calls two classes even enough when the smaller one has two fifths", () => {
    expect(balance(counts(60, 40))).toBe("60 % are clickbait: well balanced.");
  });

  it("says how many images of which class would even it out", () => {
    expect(balance(counts(65, 35))).toContain("30 more legitimate images would even it out");
    expect(balance(counts(10, 90))).toContain("lopsided");
    expect(balance(counts(10, 90))).toContain("80 more clickbait images");
  });

  it("says of a class without images that a training needs both", () => {
    expect(balance(counts(5, 0))).toBe(
      "There is no legitimate image: a training needs both classes.",
    );
    expect(balance(counts(0, 5))).toContain("no clickbait image");
  });
});

describe("compared", () => {
  it("says which class is more, how much, and both medians", () => {
    expect(compared("brightness", spread(127), spread(103))).toBe(
      "Clickbait is much brighter: median 127 against 103, mean 127 against 103.",
    );
    expect(compared("contrast", spread(57), spread(60))).toContain("a little flatter");
  });

  it("makes nothing of a difference that the spread swallows", () => {
    expect(compared("saturation", spread(0.3, 0.2), spread(0.31, 0.2))).toContain(
      "Saturation hardly tells the classes apart",
    );
  });

  it("compares with nothing where one class has no images", () => {
    expect(compared("brightness", spread(null, null), spread(90))).toBe(
      "Only one class has images: its median is 90.",
    );
  });

  it("does not fail on images that are all alike", () => {
    expect(compared("brightness", spread(5, 0), spread(5, 0))).toContain("hardly tells");
    expect(compared("brightness", spread(6, 0), spread(5, 0))).toContain("much brighter");
  });
});

describe("effect", () => {
  const of = (rho: number | null) =>
    effect({ name: "brightness", with_probability: rho, reason: "one image is too few" });

  it("names the direction and, by Cohen's steps, the size", () => {
    expect(of(0.2)).toBe("Brighter images are called clickbait a little more often.");
    expect(of(-0.44)).toBe("Darker images are called clickbait clearly more often.");
    expect(of(0.7)).toContain("much more often");
  });

  it("makes nothing of a correlation below a tenth", () => {
    expect(of(-0.09)).toBe("Brightness hardly matters to the verdict.");
  });

  it("gives the service's reason where there is none", () => {
    expect(of(null)).toBe("Not known: one image is too few.");
  });
});

it("a correlation has its sign, and a zero none", () => {
  expect([signed(0.444), signed(-0.0718), signed(-0.001), signed(null)]).toEqual([
    "+0.44",
    "−0.07",
    "0.00",
    "–",
  ]);
});

it("a key has the label of its folder, by either of its names", () => {
  expect(labelOfKey("train/legitimate/a.jpg")).toBe(REAL);
  expect(labelOfKey("train/clickbait_real/a.jpg")).toBe(REAL);
  expect(labelOfKey("train/clickbait/legitimate/a.jpg")).toBe(BAIT);
  expect(fileOf("train/clickbait/deep/a b.jpg")).toBe("a b.jpg");
});

it("families under both labels come first, else nothing changes place", () => {
  const [a, b, c] = [{ labels: [BAIT] }, { labels: [BAIT, REAL] }, { labels: [REAL] }] as const;
  const items = [a, b, c].map(({ labels }) => ({ labels: [...labels] }));
  expect(doubtedFirst(items)).toEqual([items[1], items[0], items[2]]);
});
