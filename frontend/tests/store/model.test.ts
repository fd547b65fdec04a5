import { expect, test } from "vitest";
import { bandOf, bandText } from "../../src/store/model";

test("the band has the promise that the model gives, and that of before if it gives none", () => {
  expect(bandOf({ low: 0.4, high: 0.6, promise: 0.58 })).toEqual({
    low: 0.4,
    high: 0.6,
    promise: 0.58,
  });
  expect(bandOf({ low: 0.3, high: 0.7 }).promise).toBe(0.7);
  expect(bandOf(undefined)).toEqual({ low: 0.25, high: 0.75, promise: 0.75 });
});

test("it is described in words", () => {
  expect(bandText({ low: 0.4, high: 0.6, promise: 0.58 })).toBe(
    "between 40% and 60%, where it is right less than 58% of the time",
  );
});
