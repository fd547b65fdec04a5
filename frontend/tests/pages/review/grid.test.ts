import { expect, it } from "vitest";
import { moved } from "../../../src/pages/review/moved";

it("arrows move in a grid that wraps, and stop at its edges", () => {
  expect(moved("ArrowRight", 3, 4, 10)).toBe(4);
  expect(moved("ArrowLeft", 0, 4, 10)).toBe(0);
  expect(moved("ArrowDown", 3, 4, 10)).toBe(7);
  expect(moved("ArrowDown", 7, 4, 10)).toBe(7);
  expect(moved("ArrowUp", 7, 4, 10)).toBe(3);
  expect(moved("Home", 7, 4, 10)).toBe(0);
  expect(moved("End", 7, 4, 10)).toBe(9);
});
