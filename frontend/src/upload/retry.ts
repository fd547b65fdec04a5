/** The page's one way to try a request again: for failures that pass by themselves. */
import pRetry from "p-retry";
import { Problem } from "../api/problem";

/** Attempts after the first; their waits of 1, 2, 4, 8 and 16 s add up to half a minute. */
const RETRIES = 5;
const FIRST_WAIT_MS = 1_000;

const passes = (error: unknown): error is Problem => error instanceof Problem && error.passing;

/** Call until it succeeds or fails for good; waits as long as the service's Retry-After says. */
export async function retry<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const results: T[] = [];
  try {
    await pRetry(async () => void results.push(await call()), {
      retries: RETRIES,
      minTimeout: FIRST_WAIT_MS,
      ...(signal ? { signal } : {}),
      shouldRetry: ({ error }) => passes(error),
      onFailedAttempt: async ({ error, retriesLeft }) => {
        if (passes(error) && retriesLeft > 0) await pause(error.retryAfter ?? 0, signal);
      },
    });
  } catch (error) {
    // p-retry reports an abort even if the call has succeeded: an image would be sent twice.
    if (results.length === 0) throw error;
  }
  return results[0] as T;
}

/** Wait some seconds, or until `signal` aborts. */
const pause = (seconds: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, 1000 * seconds);
    signal?.addEventListener("abort", end);
  });
