import { expect, it } from "vitest";
import { insideBars } from "../../src/image/bars";

it("a heat map covers a picture without bars", () => {
  expect(insideBars({ width: 1280, height: 720, trimmed: null })).toEqual({});
});

it("a heat map lies between the bars of a 4:3 thumbnail", () => {
  const trimmed = { left: 0, top: 45, right: 0, bottom: 45 };
  expect(insideBars({ width: 480, height: 360, trimmed })).toEqual({
    left: "0%",
    top: "12.5%",
    width: "100%",
    height: "75%",
  });
});
