/** The one way to show waits, failures and empty places; each says what to do. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { isUnsent } from "../api/client";
import type { Problem } from "../api/problem";
import { refused, token } from "../api/session";
import type { Loaded } from "../api/use-load";
import { announce } from "./announce";
import { Copy } from "./copy";
import { NeedsToken } from "./token";

const SECOND_MS = 1_000;

/** Counts the seconds down and tries again, unless nobody looks. The region around it is an alert:
 * it must not speak each second. */
function Countdown({ of, retry }: { of: Problem; retry: () => void }) {
  const [left, setLeft] = useState(of.retryAfter ?? 0);
  const latest = useRef(retry);
  latest.current = retry;
  useEffect(() => {
    let seconds = of.retryAfter ?? 0;
    setLeft(seconds);
    const timer = setInterval(() => {
      if (document.hidden) return;
      seconds -= 1;
      setLeft(Math.max(0, seconds));
      if (seconds > 0) return;
      clearInterval(timer);
      latest.current();
    }, SECOND_MS);
    return () => clearInterval(timer);
  }, [of]);
  return (
    <p aria-live="off">
      {left > 0 ? `Busy right now. Trying again in ${left} s …` : "Trying again …"}
    </p>
  );
}

/** Calls `retry` when the browser is online again. */
function useReturn(waiting: boolean, retry: (() => void) | undefined): void {
  const latest = useRef(retry);
  latest.current = retry;
  useEffect(() => {
    if (!waiting) return;
    const back = () => latest.current?.();
    addEventListener("online", back);
    return () => removeEventListener("online", back);
  }, [waiting]);
}

/** A key that may not do this is good, and the service names what it may do. */
function needs({ status, detail }: Problem): string {
  if (refused.value) return "Your session has ended. Sign in to go on.";
  return status === 403 ? detail : "Sign in to see this.";
}

/**
 * A failure in the service's own words; after a 401 or 403, the way to sign in.
 *
 * `retry` is offered only if it can help. It is called without a press when the seconds of a
 * Retry-After are over, when a lost connection is back, and after signing in.
 */
export function Failure({
  problem,
  retry,
  children,
}: {
  problem: Problem;
  retry?: (() => void) | undefined;
  children?: ComponentChildren;
}) {
  const again = problem.retriable ? retry : undefined;
  useReturn(problem.status === 0, again);
  if (problem.unauthorized) {
    return (
      <NeedsToken
        reason={needs(problem)}
        // Somebody may have signed in before the failure was shown.
        since={isUnsent(problem) ? null : token.value}
        onSignedIn={retry}
      >
        {children}
      </NeedsToken>
    );
  }
  return (
    <div class="failure card" role="alert">
      <p class="title">{problem.title}</p>
      <p>{problem.detail}</p>
      {problem.retryAfter !== null &&
        (again ? (
          <Countdown of={problem} retry={again} />
        ) : (
          <p>Busy right now. Try again in {problem.retryAfter} s.</p>
        ))}
      {problem.more && (
        <details>
          <summary>Details</summary>
          <p>{problem.more}</p>
        </details>
      )}
      <div class="row">
        {again && (
          <button type="button" class="small" onClick={again}>
            Try again
          </button>
        )}
        {problem.requestId && <Copy text={problem.requestId} label="request ID" />}
        {children}
      </div>
    </div>
  );
}

/** After this long a person wonders whether anything still happens. */
const SLOW_MS = 8_000;

/** Work in progress, with a percentage if `total` is given. `soon`: it takes a second or two. */
export function Working({
  label,
  done,
  total,
  soon = false,
}: {
  label: string;
  done?: number;
  total?: number;
  soon?: boolean;
}) {
  const [slow, setSlow] = useState(false);
  useEffect(() => {
    if (!soon) return;
    const timer = setTimeout(() => setSlow(true), SLOW_MS);
    return () => clearTimeout(timer);
  }, [soon]);
  return (
    <div class="working" role="status">
      <span>
        {label}
        {slow && " Still waiting: your connection or the service is slow."}
      </span>
      {total === undefined ? (
        <progress aria-label={label} />
      ) : (
        <progress aria-label={label} value={done ?? 0} max={Math.max(1, total)} />
      )}
    </div>
  );
}

/** A place without content yet; its children say what to do. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="title">{title}</p>
      {children}
    </div>
  );
}

/** Shows loaded data; before that the wait, and beside it any failure. `label`: "Loading the runs". */
export function Shown<T>({
  of,
  label,
  children,
}: {
  of: Loaded<T>;
  label: string;
  children: (value: T) => ComponentChildren;
}) {
  const failed = of.problem !== undefined;
  useEffect(() => {
    if (failed) announce(`${label} failed`);
  }, [failed]);
  return (
    <>
      {of.problem && <Failure problem={of.problem} retry={of.reload} />}
      {of.value !== undefined
        ? children(of.value)
        : !of.problem && <Working label={`${label} …`} soon />}
    </>
  );
}
