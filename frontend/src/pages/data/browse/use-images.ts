/** The images that match the filters: pages loaded as they are scrolled to, edited in place. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { asProblem, isAbort, type Problem } from "../../../api/problem";
import { config } from "../../../api/session";
import { type Filters, queryOf } from "./filters";
import type { Image } from "./image";
import { listImages } from "./service";

/** Milliseconds after which a link to a picture may have expired: it works for five minutes. */
const LINKS_MS = 240_000;

export interface Images {
  /** Every image so far, without the removed ones, in the service's order. */
  items: readonly Image[];
  loading: boolean;
  problem: Problem | undefined;
  /** Load the next page, if there is one and none is loading. */
  more: () => void;
  complete: boolean;
  reload: () => void;
  /** Put `now` in the place of the image `id`; null removes it, `id` brings it back later. */
  replace: (id: string, now: Image | null) => void;
  /** The picture of this image could not be loaded: fetch new links if they are old. */
  renew: (id: string) => void;
}

/** One image at its place; `now` is null while it is removed. */
interface Place {
  /** The id of `now`, or of what it was before it was removed. */
  id: string;
  now: Image | null;
  page: number;
}

interface Page {
  cursor: string | null;
  at: number;
}

export function useImages(filters: Filters): Images {
  const [places, setPlaces] = useState<readonly Place[]>([]);
  const [state, setState] = useState<{ loading: boolean; problem?: Problem }>({ loading: true });
  const [turn, setTurn] = useState(0);
  const pages = useRef<Page[]>([]);
  const next = useRef<string | null>(null);
  const stop = useRef(new AbortController());
  const busy = useRef(false);
  const latest = useRef(filters);
  latest.current = filters;

  const load = useCallback(async (cursor: string | null) => {
    if (busy.current) return;
    busy.current = true;
    const { signal } = stop.current;
    setState({ loading: true });
    try {
      let from = cursor;
      let page = await listImages(latest.current, from, signal);
      // A filter that matches few images has pages without any.
      while (page.items.length === 0 && page.next !== null && !signal.aborted) {
        from = page.next;
        page = await listImages(latest.current, from, signal);
      }
      if (signal.aborted) return;
      const number = pages.current.push({ cursor: from, at: Date.now() }) - 1;
      next.current = page.next;
      setPlaces((before) => {
        const known = new Set(before.map(({ id }) => id));
        const fresh = page.items.filter(({ id }) => !known.has(id));
        return [...before, ...fresh.map((now) => ({ id: now.id, now, page: number }))];
      });
      setState({ loading: false });
    } catch (error) {
      if (signal.aborted || isAbort(error)) return;
      setState({ loading: false, problem: asProblem(error, config.value.api) });
    } finally {
      if (!signal.aborted) busy.current = false;
    }
  }, []);

  const query = JSON.stringify(queryOf(filters));
  useEffect(() => {
    stop.current = new AbortController();
    busy.current = false;
    pages.current = [];
    next.current = null;
    setPlaces([]);
    setState({ loading: true });
    void load(null);
    return () => stop.current.abort();
  }, [query, turn]);

  const renew = async (id: string) => {
    const place = places.find((one) => one.id === id);
    const page = place && pages.current[place.page];
    if (!page || Date.now() - page.at < LINKS_MS) return;
    page.at = Date.now();
    const { signal } = stop.current;
    try {
      const { items } = await listImages(latest.current, page.cursor, signal);
      const urls = new Map(items.map((one) => [one.key, one.url]));
      setPlaces((before) =>
        before.map((one) => {
          const url = one.now && urls.get(one.now.key);
          return one.now && url ? { ...one, now: { ...one.now, url } } : one;
        }),
      );
    } catch {
      // The tile goes on saying that there is no picture.
    }
  };

  return {
    items: places.flatMap(({ now }) => now ?? []),
    loading: state.loading,
    problem: state.problem,
    more: () => {
      if (next.current !== null && !state.problem) void load(next.current);
    },
    complete: next.current === null && !state.loading,
    reload: () => setTurn((n) => n + 1),
    replace: (id, now) =>
      setPlaces((before) =>
        before.map((one) => (one.id === id ? { ...one, id: now?.id ?? id, now } : one)),
      ),
    renew: (id) => void renew(id),
  };
}
