/** The queue of this tab, and how its pages are loaded. */
import { useEffect, useRef, useState } from "preact/hooks";
import { api, ask } from "../../api/client";
import { asProblem, isAbort, type Problem } from "../../api/problem";
import { config, token } from "../../api/session";
import { decisions } from "../../store/decided";
import { learn } from "../../store/model";
import { Queue } from "./queue";
import type { Item, Order, Source } from "./words";

/** Images in one request, and how few may be left before the next request. */
const PAGE = 60;
const FEW = 12;

/** Outlives the page: undo still works after a look at another one. */
export const queue = new Queue<Item>(decisions);

export interface Feed {
  loading: boolean;
  problem: Problem | undefined;
  /** Load the next images; undefined if there are no more. */
  more: (() => void) | undefined;
  /** Begin again: new images, new links. */
  reload: () => void;
}

/** Keep `queue` filled with images of `source` (null: all) in this order. */
export function useFeed(source: Source | null, order: Order): Feed {
  const [state, setState] = useState<{ next?: string | null; loading: boolean; problem?: Problem }>(
    {
      loading: true,
    },
  );
  const [turn, setTurn] = useState(0);
  const stop = useRef<AbortController>(undefined);

  const load = async (cursor: string | null) => {
    stop.current?.abort();
    const controller = new AbortController();
    stop.current = controller;
    const { signal } = controller;
    setState({ next: cursor, loading: true });
    try {
      const query = {
        source: source ?? ("all" as const),
        order,
        limit: PAGE,
        ...(cursor ? { cursor } : {}),
      };
      const page = await ask(api().GET("/review", { params: { query }, signal }));
      const [first] = page.items;
      if (first) await learn(first.model_version).catch(() => undefined);
      if (signal.aborted) return;
      queue.add(page.items);
      setState({ next: page.next, loading: false });
    } catch (error) {
      if (signal.aborted || isAbort(error)) return;
      setState({ next: cursor, loading: false, problem: asProblem(error, config.value.api) });
    }
  };
  useEffect(() => {
    queue.restart();
    void load(null);
    return () => stop.current?.abort();
  }, [source, order, turn, token.value]);

  const { next = null, loading, problem } = state;
  const few = queue.waiting.value.length < FEW;
  useEffect(() => {
    if (few && next !== null && !loading && !problem) void load(next);
  }, [few, next, loading, problem]);

  return {
    loading,
    problem,
    more: next !== null && !loading ? () => void load(next) : undefined,
    reload: () => setTurn((n) => n + 1),
  };
}
