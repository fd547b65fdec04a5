/** The dialog that makes a version live: a promotion or roll-back, with a reason. */
import { useState } from "preact/hooks";
import { api, ask, type Schemas } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { config } from "../../api/session";
import { useLoad } from "../../api/use-load";
import { announce } from "../../ui/announce";
import { Confirm } from "../../ui/confirm";
import { Reason } from "../../ui/reason";
import { Failure, Shown } from "../../ui/state";
import { Compared } from "./improved";
import { between, improvementOf } from "./improvement";
import { plainly } from "./names";

type Record = Schemas["PromotionRecord"];

/** Whether `version` has been live before, by `history`: a roll-back needs no checks. */
export function hasBeenLive(version: string, history: readonly Record[]): boolean {
  return history.some((one) => one.version === version || one.previous === version);
}

/** Whether the gate refused the version, or has not seen it: this can be overridden. */
const isGateRefusal = (problem: Problem) => problem.status === 409 && "gate" in problem.members;

/** Without the last sentence of the refusal, which is for curl: this dialog has a checkbox. */
const withoutBody = (detail: string) => detail.replace(/ Only \{.*$/, "");

/** The figures before the decision: both models on the same images. */
function Comparison({ version, live }: { version: string; live: string }) {
  const both = useLoad(
    (signal) =>
      Promise.all(
        [live, version].map((one) =>
          ask(api().GET("/models/{version}", { params: { path: { version: one } }, signal })),
        ),
      ),
    [version, live],
  );
  return (
    <Shown of={both} label="Loading the comparison">
      {([before, after]) => (
        <Compared of={between(before!, after!) ?? improvementOf(after!.gate)} live={live} />
      )}
    </Shown>
  );
}

export function PromoteDialog({
  version,
  live,
  back,
  onDone,
  onClose,
}: {
  version: string;
  /** The version that is live now. */
  live: string;
  /** Whether it was live before: a roll-back. */
  back: boolean;
  onDone: () => void;
  onClose: () => void;
}) {
  const [reason, setReason] = useState("");
  const [force, setForce] = useState(false);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const refused = problem && isGateRefusal(problem);
  const again = version === live;

  const promote = async () => {
    setBusy(true);
    try {
      const { changed } = await ask(
        api().POST("/models/{version}/promote", {
          params: { path: { version } },
          body: { reason, force: force && refused === true },
        }),
      );
      announce(changed ? `Version ${version} is live` : `Version ${version} was already live`);
      onDone();
    } catch (error) {
      const failed = asProblem(error, config.value.api);
      setProblem(failed);
      announce(`${failed.title}. ${failed.detail}`);
      setBusy(false);
    }
  };

  return (
    <Confirm
      title={
        again
          ? "Make this version live again?"
          : back
            ? "Roll back to this version?"
            : "Make this version live?"
      }
      action={
        again ? "Make live again" : back ? "Roll back" : refused ? "Make live anyway" : "Make live"
      }
      danger={refused === true}
      busy={busy}
      onConfirm={() => void promote()}
      onClose={onClose}
    >
      {!again && <Comparison version={version} live={live} />}
      <p>
        <strong class="id">{version}</strong>{" "}
        {again ? (
          "stays live, and what is stored names it again."
        ) : (
          <>
            replaces <span class="id">{live}</span> everywhere within half a minute. You can roll
            back at any time.
          </>
        )}
      </p>
      {problem && !refused && <Failure problem={problem} />}
      {refused && (
        <div class="gate-refusal" role="alert">
          <p>{plainly(withoutBody(problem.detail))}</p>
          <label class="check">
            <input
              type="checkbox"
              required
              checked={force}
              onChange={(event) => setForce(event.currentTarget.checked)}
            />
            Override the checks
          </label>
        </div>
      )}
      <Reason value={reason} onInput={setReason} />
    </Confirm>
  );
}
