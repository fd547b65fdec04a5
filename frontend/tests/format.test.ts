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

it("an unknown number is a dash, never 0 or NaN", () => {
  for (const format of [count, percent, milliseconds, bytes, duration]) {
    expect(format(null)).toBe(NONE);
    expect(format(undefined)).toBe(NONE);
  }
});

it("a percentage has a decimal only below ten", () => {
  expect(percent(0)).toBe("0%");
  expect(percent(0.0312)).toBe("3.1%");
  expect(percent(0.874)).toBe("87%");
  expect(percent(1)).toBe("100%");
});

it("times and sizes have the usual units", () => {
  expect(milliseconds(3.44)).toBe("3.4 ms");
  expect(milliseconds(1500)).toBe("1.5 s");
  expect(duration(59)).toBe("59 s");
  expect(duration(200)).toBe("3 min 20 s");
  expect(duration(7500)).toBe("2 h 5 min");
  expect(bytes(999)).toBe("999 B");
  expect(bytes(212_345)).toBe("212 kB");
  expect(bytes(2_400_000)).toBe("2.4 MB");
});

it("a past time is shown as how long ago", () => {
  const now = Date.parse("2026-11-24T12:00:00Z");
  expect(since("2026-11-24T11:57:00Z", now)).toBe("3 min ago");
  expect(since("2026-11-22T11:57:00Z", now)).toBe("2 days ago");
  expect(since("2026-11-24T12:00:00Z", now)).toBe("now");
});

it("classes have readable names", () => {
  expect(className("clickbait_fake")).toBe("Clickbait");
  expect(className("clickbait_real")).toBe("Legitimate");
});

it("one thing is singular", () => {
  expect(plural(1, "image")).toBe("1 image");
  expect(plural(1200, "image")).toBe("1,200 images");
});
