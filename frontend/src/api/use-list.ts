/** A list that the API returns in pages: the first is kept fresh, others are added on demand. */
import { useRef, useState } from "preact/hooks";
import { asProblem, type Problem } from "./problem";
import { config } from "./session";
import { type Loaded, useLoad } from "./use-load";

interface Page<T> {
  items: T[];
  next: string | null;
}

export interface Listed<T, P = Page<T>> extends Loaded<P> {
  /** All items so far, in the API's order. */
  items: readonly T[];
  /** Load the next page; undefined if there is none. */
  more: (() => void) | undefined;
  moreProblem: Problem | undefined;
  busy: boolean;
  /** Remove an item that no longer exists. */
  forget: (key: string) => void;
}

/** The options of a request for one page: `api().GET("/runs", page)`. */
export type PageRequest = {
  params: { query: { cursor?: string } };
  signal: AbortSignal | null;
};

const behind = (cursor: string): PageRequest => ({
  params: { query: { cursor } },
  signal: null,
});

/**
 * `load` returns a page; `key` identifies an item and orders the list, newest or oldest first. Items
 * that a fresh first page no longer has stay in the list.
 */
export function useList<P extends Page<unknown>>(
  load: (page: PageRequest) => Promise<P>,
  key: (item: P["items"][number]) => string,
  {
    order = "newest",
    every,
    deps = [],
  }: { order?: "newest" | "oldest"; every?: number; deps?: readonly unknown[] } = {},
): Listed<P["items"][number], P> {
  type Item = P["items"][number];
  const first = useLoad((signal) => load({ params: { query: {} }, signal }), deps, every);
  const known = useRef(new Map<string, Item>());
  const gone = useRef(new Set<string>());
  const learned = useRef<P | undefined>(undefined);
  const [deeper, setDeeper] = useState<{ next: string | null }>();
  const [state, setState] = useState<{ busy: boolean; problem?: Problem }>({ busy: false });
  const [, render] = useState(0);

  const learn = (items: readonly Item[]) => {
    for (const item of items) if (!gone.current.has(key(item))) known.current.set(key(item), item);
  };
  // Not in an effect: the list would be empty at first.
  if (first.value && first.value !== learned.current) {
    learn(first.value.items);
    learned.current = first.value;
  }

  const next = deeper ? deeper.next : (first.value?.next ?? null);
  const more = async (cursor: string) => {
    setState({ busy: true });
    try {
      const page = await load(behind(cursor));
      learn(page.items);
      setDeeper({ next: page.next });
      setState({ busy: false });
    } catch (error) {
      setState({ busy: false, problem: asProblem(error, config.value.api) });
    }
  };
  const sign = order === "newest" ? -1 : 1;
  return {
    ...first,
    items: [...known.current.values()].sort((a, b) => (key(a) < key(b) ? -sign : sign)),
    more: next === null ? undefined : () => void more(next),
    moreProblem: state.problem,
    busy: state.busy,
    forget: (one) => {
      gone.current.add(one);
      known.current.delete(one);
      render((n) => n + 1);
    },
  };
}
