import { describe, expect, it } from "vitest";
import {
  fitted,
  isAnimated,
  LONG_SIDE,
  SHORT_SIDE,
  SMALL_ENOUGH,
  worthShrinking,
} from "../../src/image/size";

const bytes = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

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

describe("a file is resized", () => {
  it("if it has more bytes than SMALL_ENOUGH and a type that browsers read", () => {
    expect(worthShrinking({ type: "image/jpeg", size: SMALL_ENOUGH + 1 })).toBe(true);
    expect(worthShrinking({ type: "image/jpeg", size: SMALL_ENOUGH })).toBe(false);
    expect(worthShrinking({ type: "image/gif", size: 10 * SMALL_ENOUGH })).toBe(false);
    expect(worthShrinking({ type: "", size: 10 * SMALL_ENOUGH })).toBe(false);
  });

  it("unless it is animated: the service reports those", () => {
    const webp = (flags: number) => {
      const head = bytes(`RIFF....WEBPVP8X${" ".repeat(16)}`);
      head[20] = flags;
      return head;
    };
    expect(isAnimated(webp(0x02))).toBe(true);
    expect(isAnimated(webp(0x10))).toBe(false);
    expect(isAnimated(bytes("\x89PNG\r\n\x1a\n....IHDR....acTL"))).toBe(true);
    expect(isAnimated(bytes("\x89PNG\r\n\x1a\n....IHDR....IDAT"))).toBe(false);
    expect(isAnimated(bytes("RIFF....WEBPVP8 ...."))).toBe(false);
  });
});
