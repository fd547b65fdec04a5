/** A button on the page of a run in progress that cancels it, after a confirmation. */
import { useState } from "preact/hooks";
import { api, ask } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { admin, config } from "../../api/session";
import { announce } from "../../ui/announce";
import { Confirm } from "../../ui/confirm";
import { Failure } from "../../ui/state";

export function CancelRun({ run, refresh }: { run: string; refresh: () => void }) {
  const [confirming, setConfirming] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  if (!admin.value) return null;

  const open = () => {
    setProblem(undefined);
    setConfirming(true);
  };
  const cancel = async () => {
    setBusy(true);
    try {
      await ask(api().POST("/runs/{run}/cancel", { params: { path: { run } } }));
      setConfirming(false);
      // After the dialog has closed: elements behind it cannot take the focus.
      requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus());
    } catch (error) {
      const failed = asProblem(error, config.value.api);
      setProblem(failed);
      announce(`${failed.title}. ${failed.detail}`);
    }
    setBusy(false);
    refresh();
  };

  return (
    <>
      <button type="button" class="secondary small" onClick={open}>
        Cancel training
      </button>
      {confirming && (
        <Confirm
          title="Cancel this training?"
          action="Cancel training"
          dismiss="Keep training"
          busy={busy}
          onConfirm={() => void cancel()}
          onClose={() => setConfirming(false)}
        >
          <p>The live model stays, and no image is lost. What it has learned so far is lost.</p>
          {problem && <Failure problem={problem} />}
        </Confirm>
      )}
    </>
  );
}
