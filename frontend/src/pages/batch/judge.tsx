/** Label the image of a row: confirm the verdict, or say what it should have been. */
import { useEffect, useRef } from "preact/hooks";
import type { Decision, Decisions, Label, Outcome } from "../../store/decisions";

/** How the images of some results are labelled. */
export interface Judging {
  decisions: Decisions;
  /** The id of a row's image; null if the image is gone. */
  idOf: (place: number) => string | null;
}

const LABELS = [
  { label: "clickbait_fake", name: "Clickbait" },
  { label: "clickbait_real", name: "Legitimate" },
] as const;

const OUTCOMES: Record<Outcome, string> = {
  training: "The next training uses it.",
  waiting: "Waits for an admin.",
};

/** The outcome of a decision, in a few words. */
export function stateText({ wanted, saved, outcome, refused }: Decision, failing: boolean): string {
  if (refused !== undefined) return `Not saved. ${refused}`;
  if (wanted === saved) return outcome ? OUTCOMES[outcome] : "Saved.";
  return failing ? "Not saved yet." : "Saving …";
}

export function Judge({
  file,
  prediction,
  id,
  decisions,
}: {
  file: string;
  prediction: string;
  id: string | null;
  decisions: Decisions;
}) {
  const cell = useRef<HTMLDivElement>(null);
  const pressed = useRef(false);
  const decision = id === null ? undefined : decisions.all.value.get(id);
  const shown = decision && (decision.wanted ?? (decision.refused ? decision.saved : null));
  // The pressed button makes room for another one, which takes the focus over.
  useEffect(() => {
    if (pressed.current) cell.current?.querySelector("button")?.focus();
    pressed.current = false;
  }, [shown]);
  if (id === null) return <small class="hint">The image has been deleted.</small>;
  const decide = (label: Label | null) => {
    pressed.current = true;
    decisions.decide([{ id, name: file }], label);
  };
  return (
    <div class="judgement" ref={cell}>
      {shown ? (
        <>
          <span class={`tag ${shown === "clickbait_fake" ? "bait" : "real"}`}>
            {LABELS.find(({ label }) => label === shown)?.name}
          </span>
          <button type="button" class="link" onClick={() => decide(null)}>
            Undo<span class="unseen">: {file}</span>
          </button>
        </>
      ) : (
        LABELS.map(({ label, name }) => (
          <button
            key={label}
            type="button"
            class="secondary small"
            aria-label={`${label === prediction ? "Confirm" : "Wrong"}: ${file} is ${name.toLowerCase()}`}
            onClick={() => decide(label)}
          >
            {name}
          </button>
        ))
      )}
      {decision && (shown || decision.refused) && (
        <small class={decision.refused ? "why" : "hint"} role="status">
          {stateText(decision, decisions.problem.value !== undefined)}
        </small>
      )}
    </div>
  );
}
