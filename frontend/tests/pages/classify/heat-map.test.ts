import { expect, it } from "vitest";
import { hottest } from "../../../src/pages/classify/heat-map";

const cells = (y: number, x: number) =>
  Array.from({ length: 7 }, (_, row) =>
    Array.from({ length: 7 }, (_, column) => (row === y && column === x ? 1 : 0.2)),
  );

it("the strongest cell has its place in words", () => {
  expect(hottest(cells(0, 0))).toBe("top left");
  expect(hottest(cells(3, 3))).toBe("centre");
  expect(hottest(cells(3, 6))).toBe("middle right");
  expect(hottest(cells(6, 3))).toBe("bottom centre");
});
