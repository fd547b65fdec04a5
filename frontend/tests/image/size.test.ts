import { describe, expect, it } from "vitest";
import { fitted, LONG_SIDE, SHORT_SIDE } from "../../src/image/size";

describe("the size to resize to", () => {
  it("keeps the shape and brings the shorter side to SHORT_SIDE", () => {
    expect(fitted({ width: 4000, height: 3000 })).toEqual({ width: 597, height: SHORT_SIDE });
    expect(fitted({ width: 3000, height: 4000 })).toEqual({ width: SHORT_SIDE, height: 597 });
  });

  it("never enlarges", () => {
    expect(fitted({ width: 320, height: 180 })).toEqual({ width: 320, height: 180 });
  });

  it("keeps a panorama within LONG_SIDE, and never without a pixel of height", () => {
    expect(fitted({ width: 16_000, height: 1_000 })).toEqual({ width: LONG_SIDE, height: 100 });
    expect(fitted({ width: 100_000, height: 10 }).height).toBe(1);
  });
});
