/** Corrections that wait: what the model said, what somebody says it is, and an admin's decision. */
import { useRef, useState } from "preact/hooks";
import { api, ask, type Schemas } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { config } from "../../api/session";
import { bytes, className, count, dateTime, since } from "../../format";
import { announce } from "../../ui/announce";
import { Empty, Failure, Shown } from "../../ui/state";
import { Look } from "./look";
import { More } from "./more";
import { VersionName } from "./names";
import type { Listed } from "./use-list";

type Waiting = Schemas["WaitingFeedback"];
type Decision = "accept" | "reject";

const decide = (id: string, decision: Decision) => {
  const params = { params: { path: { feedback: id } } };
  return decision === "accept"
    ? ask(api().POST("/feedback/{feedback}/accept", params))
    : ask(api().POST("/feedback/{feedback}/reject", params));
};

function Card({ of, onDecided, again }: { of: Waiting; onDecided: () => void; again: () => void }) {
  const [busy, setBusy] = useState<Decision>();
  const [problem, setProblem] = useState<Problem>();
  const act = async (decision: Decision) => {
    setBusy(decision);
    setProblem(undefined);
    try {
      await decide(of.id, decision);
      announce(
        decision === "accept"
          ? `Accepted: it is training data now, as ${className(of.label).toLowerCase()}`
          : "Rejected: it is deleted",
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
      <Look url={of.url} alt={name} again={again} />
      <p class="said">
        {className(of.prediction)} <span aria-hidden="true">→</span>
        <span class="unseen">was answered; it is said to be </span>{" "}
        <strong>{className(of.label)}</strong>
      </p>
      <p class="hint name" title={dateTime(of.at)}>
        {name}, {bytes(of.bytes)}, {since(of.at)}
        {of.model_version && (
          <>
            . Answered by <VersionName of={of.model_version} />
          </>
        )}
      </p>
      {problem && (
        <Failure problem={problem}>
          {problem.status === 404 && (
            <button type="button" class="small" onClick={onDecided}>
              Take it off the list
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
  /** Where one was, one goes on: at the next card's first button, or at the heading. */
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
        Corrections that wait
      </h2>
      <Shown of={of} label="The corrections">
        {() =>
          of.items.length === 0 && !of.more ? (
            <Empty title="Nothing waits for a decision">
              <p>
                Whoever presses “This is wrong” below an answer on <a href="/classify">Classify</a>{" "}
                sends a correction here. Accepted ones become training data.
              </p>
            </Empty>
          ) : (
            <>
              <p class="hint">
                {count(of.items.length)}
                {of.more && " and more"}, oldest first. Accept, and the image becomes training data
                under its new label; reject, and it is deleted.
              </p>
              <ul class="corrections" ref={list}>
                {of.items.map((one, at) => (
                  <Card
                    key={one.id}
                    of={one}
                    again={of.reload}
                    onDecided={() => decided(one, at)}
                  />
                ))}
              </ul>
            </>
          )
        }
      </Shown>
      <More of={of} label="Newer corrections" />
    </section>
  );
}
