/** The one way that tests wait: until something is so, with one deadline for all of them. */
import { vi } from "vitest";

/** Far more than an idle machine needs: a test must not fail because the machine is busy. */
export const PATIENCE_MS = 60_000;

/** Resolve once `check` stops throwing; reject with its last error at the deadline. */
export const eventually = <T>(check: () => T): Promise<T> =>
  vi.waitFor(check, { timeout: PATIENCE_MS, interval: 10 });
