/** Requests that are worth another try: what passes by itself is waited for. */
import pRetry from "p-retry";
import { Problem } from "../../api/problem";

/** Tries after the first one: they take half a minute together. */
const RETRIES = 5;
const FIRST_WAIT_MS = 1_000;

const passing = (error: unknown): error is Problem => error instanceof Problem && error.passing;

/** `call` until it answers or fails for good; waits as long as the service asks to. */
export const patient = <T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> =>
  pRetry(call, {
    retries: RETRIES,
    minTimeout: FIRST_WAIT_MS,
    ...(signal ? { signal } : {}),
    shouldRetry: ({ error }) => passing(error),
    onFailedAttempt: async ({ error, retriesLeft }) => {
      if (passing(error) && retriesLeft > 0) await rest(error.retryAfter ?? 0, signal);
    },
  });

/** Wait for some seconds, or until it is given up. */
const rest = (seconds: number, signal?: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
