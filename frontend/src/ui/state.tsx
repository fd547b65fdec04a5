/** What every wait, failure and empty place looks like, so that each says what to do. */
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import type { Problem } from "../api/problem";
import type { Loaded } from "../api/use-load";
import { announce } from "./announce";
import { Copy } from "./copy";
import { TokenForm } from "./token";

/** A failure in the service's own words; a 401 or 403 asks for the token. */
export function Failure({
  problem,
  retry,
  children,
}: {
  problem: Problem;
  retry?: (() => void) | undefined;
  children?: ComponentChildren;
}) {
  if (problem.unauthorized) return <TokenForm reason="This part is not for everybody." />;
  return (
    <div class="failure card" role="alert">
      <p class="title">{problem.title}</p>
      <p>{problem.detail}</p>
      {problem.retryAfter !== null && <p>The service asks to wait {problem.retryAfter} s.</p>}
      <div class="row">
        {retry && (
          <button type="button" class="small" onClick={retry}>
            Try again
          </button>
        )}
        {problem.requestId && <Copy text={problem.requestId} label="request id" />}
        {children}
      </div>
    </div>
  );
}

/** Work that goes on; with `total` it says how far it is. */
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

/** A place where there is nothing yet; its children teach the next step. */
export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <p class="title">{title}</p>
      {children}
    </div>
  );
}

/** Shows what was loaded; before that the wait, and beside it what failed. */
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
