/** Pages whose code is loaded later: when they are opened, or before that when the page is idle. */
import { type ComponentType, h } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Problem } from "../api/problem";
import { Failure, Working } from "./state";

type Load = () => Promise<{ default: ComponentType }>;

interface Later {
  (props: object): ReturnType<typeof h>;
  /** Load the code, so that it is there when the page is opened. Never throws. */
  preload: () => Promise<void>;
}

/** How often a page that could not be loaded tries again while it is seen. */
const EVERY_MS = 5_000;

/** The page that is open comes first, with its own code and data. */
const FIRST_MS = 3_000;

/** The file for which this tab was reloaded last. */
const RELOADED = "reloaded-for";

/**
 * Reload the page if `error` says which file could not be imported, and that file is there now.
 * Firefox before 155 and other browsers of its time keep a failed import as long as the page lives,
 * so no further attempt can succeed. One reload for each file: a second one would not help either.
 */
async function reloadIfBack(error: unknown): Promise<void> {
  const file = /module: (\S+)$/.exec(String(error))?.[1];
  if (!file || sessionStorage.getItem(RELOADED) === file) return;
  const answer = await fetch(file, { method: "HEAD", cache: "no-store" }).catch(() => undefined);
  if (!answer?.ok) return;
  sessionStorage.setItem(RELOADED, file);
  location.reload();
}

const lost = (): Problem =>
  navigator.onLine
    ? new Problem(
        "This page could not be loaded",
        "The connection failed, or a new version of the page has been deployed. It tries again by " +
          "itself. If that takes long, reload.",
        0,
      )
    : new Problem("You are offline", "This page opens by itself once the connection is back.", 0);

/** Try again while it is seen: now, every EVERY_MS, and when the network is back. */
function useRetries(retry: () => Promise<unknown>): void {
  const busy = useRef(false);
  useEffect(() => {
    const again = async () => {
      if (busy.current || document.hidden) return;
      busy.current = true;
      await retry();
      busy.current = false;
    };
    void again();
    const timer = setInterval(() => void again(), EVERY_MS);
    addEventListener("online", again);
    return () => {
      clearInterval(timer);
      removeEventListener("online", again);
    };
  }, []);
}

function Lost({ name, retry }: { name: string; retry: () => Promise<unknown> }) {
  useRetries(() => retry().then(reloadIfBack));
  return (
    <>
      <h1 tabIndex={-1}>{name}</h1>
      <Failure problem={lost()}>
        <button type="button" class="small" onClick={() => location.reload()}>
          Reload
        </button>
      </Failure>
    </>
  );
}

/**
 * A page whose code `load` imports. While it loads, the router keeps the page before; if that
 * fails, the page says so, and heals when the code can be had: an import that failed is not kept.
 */
export function later(name: string, load: Load): Later {
  let page: ComponentType | undefined;
  let failed = false;
  let opened = false;
  let loading: Promise<unknown> | undefined;
  /** The error with which the import failed, or nothing. */
  const begin = (): Promise<unknown> => {
    loading ??= load().then(
      (module) => {
        page = module.default;
      },
      (error: unknown) => {
        failed = true;
        loading = undefined;
        return error;
      },
    );
    return loading;
  };
  const Page = (props: object) => {
    const [, setTurn] = useState(0);
    const waiting = useRef(false);
    if (page) return h(page, props);
    opened = true;
    const attempt = () =>
      begin().then((error) => {
        setTurn((turn) => turn + 1);
        return error;
      });
    // A failure is shown until the next attempt has ended; the first attempt suspends the router.
    if (failed) return <Lost name={name} retry={attempt} />;
    if (!waiting.current) {
      waiting.current = true;
      void attempt(); // The router does not render the component again.
    }
    throw begin();
  };
  Page.preload = () =>
    begin().then(() => {
      // Unless somebody has opened the page meanwhile, the failure is not theirs.
      if (!opened) failed = false;
    });
  return Page;
}

const Loading = () => <Working label="Loading …" soon />;

/** In place of a part. Only the button may reload: work may be under way beside the part. */
function LostPart({ retry }: { retry: () => Promise<unknown> }) {
  useRetries(retry);
  return <Failure problem={lost()} retry={() => void retry().then(reloadIfBack)} />;
}

/**
 * A part of a page whose code `load` imports when it is first shown; until then it is `Waiting`. If
 * that fails, the part says so, and heals when the code can be had.
 */
export function part<P extends object>(
  load: () => Promise<ComponentType<P>>,
  Waiting: ComponentType<P> = Loading,
): ComponentType<P> {
  let found: ComponentType<P> | undefined;
  return (props: P) => {
    const [failed, setFailed] = useState(false);
    const [, setTurn] = useState(0);
    /** Resolves to the error with which the import failed, or to nothing. */
    const attempt = (): Promise<unknown> =>
      load().then(
        (component) => {
          found = component;
          setTurn((turn) => turn + 1);
        },
        (error: unknown) => {
          setFailed(true);
          return error;
        },
      );
    useEffect(() => {
      if (!found) void attempt();
    }, []);
    if (found) return h(found, props);
    return failed ? <LostPart retry={attempt} /> : h(Waiting, props);
  };
}

/** Load `pages` one after the other once the browser has nothing else to do; returns what stops it. */
export function prefetch(pages: readonly Pick<Later, "preload">[]): () => void {
  const saving = (navigator as { connection?: { saveData?: boolean } }).connection?.saveData;
  let stopped = saving === true;
  const idle = globalThis.requestIdleCallback ?? ((call: () => void) => setTimeout(call, 2_000));
  const next = ([page, ...rest]: typeof pages): void => {
    if (stopped || !page) return;
    idle(() => {
      if (!stopped) void page.preload().then(() => next(rest));
    });
  };
  const timer = setTimeout(() => next(pages), FIRST_MS);
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
