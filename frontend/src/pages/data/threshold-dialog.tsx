/** The dialog that sets the threshold of the service, with a reason. */
import { useState } from "preact/hooks";
import { api, ask, type Schemas } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { config } from "../../api/session";
import { decimal } from "../../format";
import { announce } from "../../ui/announce";
import { Confirm } from "../../ui/confirm";
import { Reason } from "../../ui/reason";
import { Failure } from "../../ui/state";
import { atThreshold, comparedText, summaryOf } from "./curves";

/** The lowest and the highest threshold that the service takes. */
export const [LEAST, MOST] = [0.05, 0.95] as const;

export function ThresholdDialog({
  of,
  used,
  asked,
  onDone,
  onClose,
}: {
  of: Schemas["Evaluation"];
  used: number;
  /** Null: the model's own. */
  asked: number | null;
  onDone: () => void;
  onClose: () => void;
}) {
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const next = asked ?? of.threshold;
  const counts = atThreshold(of, next)?.counts;

  const set = async () => {
    setBusy(true);
    try {
      const { threshold } = await ask(
        api().PUT("/threshold", { body: { threshold: asked, reason } }),
      );
      announce(`The service calls an image clickbait from ${decimal(threshold, 2)} on`);
      onDone();
    } catch (error) {
      setProblem(asProblem(error, config.value.api));
      setBusy(false);
    }
  };

  return (
    <Confirm
      title={`Call images clickbait from ${decimal(next, 2)} on?`}
      action={asked === null ? "Use the model’s own" : "Use this threshold"}
      busy={busy}
      onConfirm={() => void set()}
      onClose={onClose}
    >
      <p>
        {comparedText(of, used, next)} {counts && summaryOf(counts)}
      </p>
      <p class="hint">
        All requests and batches use it within half a minute. It stays when another version goes
        live. Verdicts that are already stored do not change.
      </p>
      {problem && <Failure problem={problem} />}
      <Reason value={reason} onInput={setReason} />
    </Confirm>
  );
}
