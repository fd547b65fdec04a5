import { expect, it } from "vitest";
import {
  bytes,
  className,
  count,
  duration,
  milliseconds,
  NONE,
  percent,
  plural,
  since,
} from "../src/format";

it("what is not known is a dash, never 0 or NaN", () => {
  for (const said of [count, percent, milliseconds, bytes, duration]) {
    expect(said(null)).toBe(NONE);
    expect(said(undefined)).toBe(NONE);
  }
});

it("a share is told to the digit that matters", () => {
  expect(percent(0)).toBe("0 %");
  expect(percent(0.0312)).toBe("3.1 %");
  expect(percent(0.874)).toBe("87 %");
  expect(percent(1)).toBe("100 %");
});

it("times and sizes have the unit that a person would use", () => {
  expect(milliseconds(3.44)).toBe("3.4 ms");
  expect(milliseconds(1500)).toBe("1.5 s");
  expect(duration(59)).toBe("59 s");
  expect(duration(200)).toBe("3 min 20 s");
  expect(duration(7500)).toBe("2 h 5 min");
  expect(bytes(999)).toBe("999 B");
  expect(bytes(212_345)).toBe("212 kB");
  expect(bytes(2_400_000)).toBe("2.4 MB");
});

it("a moment is told by how long ago it was", () => {
  const now = Date.parse("2026-11-24T12:00:00Z");
  expect(since("2026-11-24T11:57:00Z", now)).toBe("3 min ago");
  expect(since("2026-11-22T11:57:00Z", now)).toBe("2 days ago");
  expect(since("2026-11-24T12:00:00Z", now)).toBe("now");
});

it("classes have people's names", () => {
  expect(className("clickbait_fake")).toBe("Clickbait");
  expect(className("clickbait_real")).toBe("Legitimate");
});

it("one of a thing is not many", () => {
  expect(plural(1, "image")).toBe("1 image");
  expect(plural(1200, "image")).toBe("1,200 images");
});
