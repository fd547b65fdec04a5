/** The one way to show waits, failures and empty places; each says what to do. */
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Problem } from "../api/problem";
import type { Loaded } from "../api/use-load";
import { announce } from "./announce";
import { Copy } from "./copy";
import { TokenForm } from "./token";

/** A failure in the service's own words; after a 401 or 403, the form for the token. */
export function Failure({
  problem,
  retry,
  children,
}: {
  problem: Problem;
  retry?: (() => void) | undefined;
  children?: ComponentChildren;
}) {
  if (problem.unauthorized) return <TokenForm reason="Sign in to see this." />;
  return (
    <div class="failure card" role="alert">
      <p class="title">{problem.title}</p>
      <p>{problem.detail}</p>
      {problem.retryAfter !== null && <p>Busy right now. Try again in {problem.retryAfter} s.</p>}
      {problem.more && (
        <details>
          <summary>Details</summary>
          <p>{problem.more}</p>
        </details>
      )}
      <div class="row">
        {retry && (
          <button type="button" class="small" onClick={retry}>
            Try again
          </button>
        )}
        {problem.requestId && <Copy text={problem.requestId} label="request ID" />}
        {children}
      </div>
    </div>
  );
}

/** Work in progress, with a percentage if `total` is given. */
export function Working({ label, done, total }: { label: string; done?: number; total?: number }) {
  return (
    <div class="working" role="status">
      <span>{label}</span>
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
        : !of.problem && <Working label={`${label} …`} />}
    </>
  );
}
