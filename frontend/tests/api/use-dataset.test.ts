import { beforeEach, describe, expect, it, vi } from "vitest";
import { EVERY_MS, following, LATE_MS, uploaded } from "../../src/api/use-dataset";

const later = (milliseconds: number) => vi.setSystemTime(Date.now() + milliseconds);

describe("figures of the labelled images", () => {
  beforeEach(() => {
    vi.useFakeTimers();
    later(LATE_MS);
    return () => vi.useRealTimers();
  });

  it("are loaded once if nothing was uploaded", () => {
    expect(following({ counting: 0 })).toBeNull();
    expect(following({ counting: null })).toBeNull();
  });

  it("are followed after an upload for as long as the service may learn of it late", () => {
    uploaded();
    expect(following({ counting: 0 })).toBe(EVERY_MS);
    later(LATE_MS - 1);
    expect(following({ counting: null })).toBe(EVERY_MS);
    later(1);
    expect(following({ counting: 0 })).toBeNull();
  });

  it("are followed while uploads are counted, and for a while after the last", () => {
    expect(following({ counting: 7 })).toBe(EVERY_MS);
    later(LATE_MS);
    expect(following({ counting: 1 })).toBe(EVERY_MS);
    later(EVERY_MS);
    expect(following({ counting: 0 })).toBe(EVERY_MS);
    later(LATE_MS);
    expect(following({ counting: 0 })).toBeNull();
  });
});
