import { expect, it } from "vitest";
import { hottest } from "../../../src/pages/classify/heat-map";

const cells = (y: number, x: number, side = 7) =>
  Array.from({ length: side }, (_, row) =>
    Array.from({ length: side }, (_, column) => (row === y && column === x ? 1 : 0.2)),
  );

it("the strongest cell has its place in words", () => {
  expect(hottest(cells(0, 0))).toBe("top left");
  expect(hottest(cells(3, 3))).toBe("centre");
  expect(hottest(cells(3, 6))).toBe("middle right");
  expect(hottest(cells(6, 3))).toBe("bottom centre");
});

it("a map of any side has the same places", () => {
  expect(hottest(cells(1, 1, 6))).toBe("top left");
  expect(hottest(cells(3, 2, 6))).toBe("centre");
  expect(hottest(cells(5, 3, 6))).toBe("bottom centre");
  expect(hottest(cells(0, 0, 1))).toBe("centre");
});
