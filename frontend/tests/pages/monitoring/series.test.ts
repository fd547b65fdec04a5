import { describe, expect, it } from "vitest";
import {
  memory,
  onTrack,
  seriesOf,
  summary,
  WINDOWS,
  windowOf,
} from "../../../src/pages/monitoring/series";

const point = (at: string, change = {}) => ({
  at,
  requests: 0,
  client_errors: 0,
  faults: 0,
  cold_starts: 0,
  clickbait: 0,
  legitimate: 0,
  not_logged: 0,
  uncertain: 0,
  latency_ms: { p50: null, p95: null, p99: null },
  ...change,
});

it("an address without a known window means a day", () => {
  expect(windowOf(undefined).window).toBe("24h");
  expect(windowOf("2h").window).toBe("24h");
  expect(windowOf("7d").window).toBe("7d");
});

it("no window is asked for more often than the service asks CloudWatch", () => {
  for (const { every } of WINDOWS) expect(every).toBeGreaterThanOrEqual(60_000);
});

describe("seriesOf", () => {
  const series = seriesOf({
    points: [
      point("2026-11-24T13:00:00+00:00"),
      point("2026-11-24T14:00:00+00:00", {
        requests: 9,
        faults: 1,
        cold_starts: 2,
        clickbait: 2,
        legitimate: 6,
        uncertain: 4,
      }),
    ],
  });

  it("has times in seconds since 1970", () => {
    expect(series.x).toEqual([
      Date.UTC(2026, 10, 24, 13) / 1000,
      Date.UTC(2026, 10, 24, 14) / 1000,
    ]);
  });

  it("has shares of the predictions, and null without predictions", () => {
    expect(series.clickbait).toEqual([null, 0.25]);
    expect(series.legitimate).toEqual([null, 0.75]);
    expect(series.uncertain).toEqual([null, 0.5]);
  });

  it("has points for faults and cold starts, and null for zero", () => {
    expect(series.faults).toEqual([null, 1]);
    expect(series.coldStarts).toEqual([null, 2]);
    expect(series.requests).toEqual([0, 9]);
  });
});

describe("summary", () => {
  const totals = {
    ...point(""),
    error_rate: null,
    shares: { clickbait: null, legitimate: null, uncertain: null },
  };

  it("says that there were no requests", () => {
    expect(summary({ totals })).toBe("No requests.");
  });

  it("has the main figures in one sentence", () => {
    const busy = {
      ...totals,
      requests: 2000,
      client_errors: 1,
      latency_ms: { p50: 20, p95: 47.2, p99: 90 },
      shares: { ...totals.shares, clickbait: 0.44 },
    };
    expect(summary({ totals: busy })).toBe(
      "2,000 requests, 1 client error, 0 faults, p95 47 ms, 44% clickbait.",
    );
  });
});

it("the large threshold is in the middle of the track, and no index leaves it", () => {
  expect([onTrack(0, 0.25), onTrack(0.25, 0.25), onTrack(7, 0.25)]).toEqual([0, 0.5, 1]);
});

it("memory has its limit if there is one, and a dash if nothing ran", () => {
  expect(memory(128.3, 1769)).toBe("128 of 1,769 MB");
  expect(memory(128.3, null)).toBe("128 MB");
  expect(memory(null, 1769)).toBe("–");
});
