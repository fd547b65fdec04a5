/** Data of the API for a component: loaded when it appears, and again on demand or by a timer. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { asProblem, isAbort, type Problem } from "./problem";
import { config } from "./session";

export interface Loaded<T> {
  /** The last value; it stays while a newer one is loading, or has failed. */
  value: T | undefined;
  problem: Problem | undefined;
  loading: boolean;
  /** When `value` was loaded: milliseconds since 1970. */
  at: number | undefined;
  reload: () => void;
}

/** Polls of a hidden page wait this many times as long. */
const HIDDEN = 4;

/**
 * Call `load` now, whenever `deps` change, and every `every` milliseconds while the page is visible.
 *
 * With `hidden`, polls go on while the page is hidden, at longer intervals: for the tab's title.
 * After failures, polls wait up to eight times as long. `every` null or undefined: once. If it is a
 * function, which must stay the same one, it returns the interval that follows each value.
 */
export function useLoad<T>(
  load: (signal: AbortSignal) => Promise<T>,
  deps: readonly unknown[],
  every?: number | null | ((value: T) => number | null),
  hidden = false,
): Loaded<T> {
  const [state, setState] = useState<Omit<Loaded<T>, "reload">>({
    value: undefined,
    problem: undefined,
    loading: true,
    at: undefined,
  });
  const [turn, setTurn] = useState(0);
  const latest = useRef(load);
  latest.current = load;
  const reload = useCallback(() => setTurn((n) => n + 1), []);

  // A value of other `deps` is not shown.
  const first = useRef(true);
  useEffect(() => {
    if (!first.current)
      setState({ value: undefined, problem: undefined, loading: true, at: undefined });
    first.current = false;
  }, deps);

  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failures = 0;
    let interval = typeof every === "function" ? null : every;

    const again = () => {
      if (stop.signal.aborted || !interval) return;
      const wait = interval * Math.min(2 ** failures, 8);
      timer = setTimeout(() => {
        if (!document.hidden) return void once();
        document.addEventListener("visibilitychange", resume);
        if (hidden) timer = setTimeout(resume, (HIDDEN - 1) * wait);
      }, wait);
    };
    const resume = () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", resume);
      void once();
    };
    const once = async () => {
      setState((before) => ({ ...before, loading: true }));
      try {
        const value = await latest.current(stop.signal);
        if (stop.signal.aborted) return;
        failures = 0;
        if (typeof every === "function") interval = every(value);
        setState({ value, problem: undefined, loading: false, at: Date.now() });
      } catch (error) {
        if (stop.signal.aborted || isAbort(error)) return;
        failures += 1;
        const problem = asProblem(error, config.value.api);
        setState((before) => ({ ...before, problem, loading: false }));
      }
      again();
    };
    void once();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", resume);
    };
  }, [...deps, turn, every]);

  return { ...state, reload };
}
