/** Corrections to review: the model's verdict, the proposed label, and an admin's decision. */
import { useRef, useState } from "preact/hooks";
import { api, ask, type Schemas } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { config } from "../../api/session";
import type { Listed } from "../../api/use-list";
import { bytes, className, count, dateTime, since } from "../../format";
import { announce } from "../../ui/announce";
import { MoreButton } from "../../ui/more-button";
import { Empty, Failure, Shown } from "../../ui/state";
import { ExpiringImage } from "../models/expiring-image";
import { VersionName } from "../models/names";

type Waiting = Schemas["WaitingFeedback"];
type Decision = "accept" | "reject";

const decide = (id: string, decision: Decision) => {
  const params = { params: { path: { feedback: id } } };
  return decision === "accept"
    ? ask(api().POST("/feedback/{feedback}/accept", params))
    : ask(api().POST("/feedback/{feedback}/reject", params));
};

function Card({
  of,
  onDecided,
  refresh,
}: {
  of: Waiting;
  onDecided: () => void;
  refresh: () => void;
}) {
  const [busy, setBusy] = useState<Decision>();
  const [problem, setProblem] = useState<Problem>();
  const act = async (decision: Decision) => {
    setBusy(decision);
    setProblem(undefined);
    try {
      await decide(of.id, decision);
      announce(
        decision === "accept"
          ? `Accepted as ${className(of.label).toLowerCase()} training data`
          : "Rejected and deleted",
      );
      onDecided();
    } catch (error) {
      const failed = asProblem(error, config.value.api);
      setProblem(failed);
      setBusy(undefined);
      announce(`${failed.title}. ${failed.detail}`);
    }
  };
  const name = of.file_name ?? of.id;
  return (
    <li class="card correction" id={of.id}>
      <ExpiringImage url={of.url} alt={name} refresh={refresh} />
      <p class="labels">
        {className(of.prediction)} <span aria-hidden="true">→</span>
        <span class="unseen">was the verdict; the proposed label is </span>{" "}
        <strong>{className(of.label)}</strong>
      </p>
      <p class="hint name" title={dateTime(of.at)}>
        {name}, {bytes(of.bytes)}, {since(of.at)}
        {of.model_version && (
          <>
            . Verdict by <VersionName of={of.model_version} />
          </>
        )}
      </p>
      {problem && (
        <Failure problem={problem}>
          {problem.status === 404 && (
            <button type="button" class="small" onClick={onDecided}>
              Remove from list
            </button>
          )}
        </Failure>
      )}
      <div class="row">
        {of.label && (
          <button
            type="button"
            class="small"
            aria-label={`Accept: ${name} is ${className(of.label).toLowerCase()}`}
            aria-busy={busy === "accept"}
            disabled={busy !== undefined}
            onClick={() => void act("accept")}
          >
            Accept
          </button>
        )}
        <button
          type="button"
          class="secondary small"
          aria-label={`Reject: ${name}`}
          aria-busy={busy === "reject"}
          disabled={busy !== undefined}
          onClick={() => void act("reject")}
        >
          Reject
        </button>
      </div>
    </li>
  );
}

export function Corrections({ of }: { of: Listed<Waiting, Schemas["FeedbackList"]> }) {
  const list = useRef<HTMLUListElement>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  /** Focus moves to the next card's first button, or to the heading. */
  const decided = (one: Waiting, at: number) => {
    of.forget(one.id);
    requestAnimationFrame(() => {
      const cards = list.current?.children;
      const next =
        cards?.[Math.min(at, cards.length - 1)]?.querySelector<HTMLElement>(".row button");
      (next ?? heading.current)?.focus();
    });
  };
  return (
    <section aria-labelledby="corrections">
      <h2 id="corrections" ref={heading} tabIndex={-1}>
        Corrections to review
      </h2>
      <Shown of={of} label="Loading corrections">
        {() =>
          of.items.length === 0 && !of.more ? (
            <Empty title="No corrections to review">
              <p>
                Corrections come from the button “Wrong? Mark as …” below each result on{" "}
                <a href="/classify">Classify</a>. Accepted ones become training data.
              </p>
            </Empty>
          ) : (
            <>
              <p class="hint">
                {count(of.items.length)}
                {of.more && " or more"}, oldest first. Accepted images become training data with
                their new label; rejected images are deleted.
              </p>
              <ul class="corrections" ref={list}>
                {of.items.map((one, at) => (
                  <Card
                    key={one.id}
                    of={one}
                    refresh={of.reload}
                    onDecided={() => decided(one, at)}
                  />
                ))}
              </ul>
            </>
          )
        }
      </Shown>
      <MoreButton of={of} label="Show newer corrections" />
    </section>
  );
}
