import { describe, expect, it } from "vitest";
import { drawn, GAP, layoutOf, moved } from "../../../../src/pages/data/browse/rows";

describe("the rows that are drawn", () => {
  it("are few, however many there are", () => {
    const { columns, row } = layoutOf(1312);
    const rows = Math.ceil(20_000 / columns);
    for (const above of [0, 5_000, rows * row - 900]) {
      const { first, end } = drawn(above, 900, row, rows);
      expect((end - first) * columns).toBeLessThan(100);
    }
  });

  it("cover the view wherever it is scrolled to", () => {
    const row = 200;
    for (const above of [-300, 0, 50, 1_999, 19_000]) {
      const { first, end } = drawn(above, 900, row, 100);
      expect(first * row).toBeLessThanOrEqual(Math.max(0, above));
      expect(end * row).toBeGreaterThanOrEqual(Math.min(100 * row, above + 900));
    }
  });

  it("are none below an empty grid", () => {
    expect(drawn(0, 900, 200, 0)).toEqual({ first: 0, end: 0 });
  });

  it("have at least two columns on a phone, and fit the width", () => {
    expect(layoutOf(358).columns).toBe(2);
    const { columns } = layoutOf(1312);
    expect((1312 - GAP * (columns - 1)) / columns).toBeGreaterThanOrEqual(158);
  });
});

describe("the keyboard", () => {
  it("moves by one image or one row, and stays in the grid", () => {
    expect(moved("ArrowRight", 0, 5, 12)).toBe(1);
    expect(moved("ArrowDown", 3, 5, 12)).toBe(8);
    expect(moved("ArrowDown", 10, 5, 12)).toBe(10);
    expect(moved("ArrowLeft", 0, 5, 12)).toBe(0);
    expect(moved("PageDown", 0, 5, 12)).toBe(11);
    expect(moved("End", 0, 5, 12)).toBe(11);
    expect(moved("Home", 9, 5, 12)).toBe(0);
  });

  it("leaves other keys, and an empty grid, alone", () => {
    expect(moved("1", 0, 5, 12)).toBeUndefined();
    expect(moved("ArrowDown", 0, 5, 0)).toBeUndefined();
  });
});
