/** The form that starts a training on all images, with default or custom parameters. */

import { useId, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { api, ask, type Schemas } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { config } from "../../api/session";
import { countingText } from "../../api/use-dataset";
import type { Loaded } from "../../api/use-load";
import { className, count, plural } from "../../format";
import { announce } from "../../ui/announce";
import { Failure, Working } from "../../ui/state";
import { plainly, RunName, runPath } from "./names";
import { FIELDS, type Field, type Name, parametersOf } from "./parameters";
import { type Run, runUnderWay } from "./progress";

type Dataset = Schemas["Dataset"];

const NAMES = Object.keys(FIELDS) as Name[];
const USUAL = NAMES.filter((name) => !FIELDS[name].advanced);
const ADVANCED = NAMES.filter((name) => FIELDS[name].advanced);

function Input({ name, of }: { name: Name; of: Field }) {
  const id = useId();
  const hint = `${id}-hint`;
  if (of.kind === "switch") {
    return (
      <div class="parameter">
        <label class="check">
          <input type="checkbox" name={name} aria-describedby={hint} />
          {of.label}
        </label>
        <p class="hint" id={hint}>
          {of.hint}
        </p>
      </div>
    );
  }
  if (of.kind === "dial") return <Dial name={name} of={of} />;
  return (
    <div class="parameter">
      <label for={id}>{of.label}</label>
      {of.kind === "choice" ? (
        <select id={id} name={name} aria-describedby={hint}>
          <option value="">{of.empty}</option>
          {of.choices.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      ) : (
        <input
          id={id}
          name={name}
          type="number"
          inputMode={of.kind === "integer" ? "numeric" : "decimal"}
          min={of.least}
          max={of.most}
          step={of.kind === "integer" ? 1 : "any"}
          placeholder="Default"
          aria-describedby={hint}
        />
      )}
      <p class="hint" id={hint}>
        {of.hint}
        {of.kind !== "choice" && ` From ${of.least} to ${of.most}.`}
      </p>
    </div>
  );
}

/** Three named steps, each with a line that says what it means. */
function Dial({ name, of }: { name: Name; of: Extract<Field, { kind: "dial" }> }) {
  const id = useId();
  return (
    <fieldset class="dial" aria-describedby={`${id}-hint`}>
      <legend>{of.label}</legend>
      {of.choices.map(({ value, label, hint }) => (
        <div key={value} class="dial-step">
          <label class="check">
            <input
              type="radio"
              name={name}
              value={value}
              defaultChecked={value === of.usual}
              aria-describedby={`${id}-${value}`}
            />
            {label}
          </label>
          <p class="hint" id={`${id}-${value}`}>
            {hint}
          </p>
        </div>
      ))}
      <p class="hint" id={`${id}-hint`}>
        {of.hint}
      </p>
    </fieldset>
  );
}

/** The images that are new since the last training. */
function NewImages({ of }: { of: Loaded<Dataset> }) {
  if (!of.value) {
    return of.problem ? (
      <Failure problem={of.problem} retry={of.reload} />
    ) : (
      <Working label="Counting new images …" />
    );
  }
  const { images, counts, reason } = of.value.waiting;
  const mark = countingText(of.value);
  return (
    <div class="new-images">
      <p>
        {images === 0 ? (
          <>
            <strong>No new images</strong> since the last training.{" "}
          </>
        ) : (
          <>
            <strong>{plural(images, "new image")}</strong> since the last training:{" "}
            {Object.entries(counts)
              .map(([label, n]) => `${count(n)} ${className(label).toLowerCase()}`)
              .join(", ")}
            .{" "}
          </>
        )}
        <button type="button" class="link" onClick={of.reload} aria-busy={of.loading}>
          Refresh
        </button>
      </p>
      {mark && <p class="hint">{mark}.</p>}
      {reason && <p class="hint">{plainly(reason)}</p>}
    </div>
  );
}

export function Retrain({
  runs,
  dataset,
  onChanged,
}: {
  runs: readonly Run[];
  dataset: Loaded<Dataset>;
  onChanged: () => void;
}) {
  const { route } = useLocation();
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const current = runUnderWay(runs);
  const other = typeof problem?.members.run === "string" ? problem.members.run : undefined;

  const start = async (form: HTMLFormElement) => {
    setBusy(true);
    setProblem(undefined);
    try {
      const run = await ask(api().POST("/retrain", { body: parametersOf(new FormData(form)) }));
      announce("Training requested");
      onChanged();
      route(runPath(run.id));
    } catch (error) {
      const failed = asProblem(error, config.value.api);
      setProblem(failed);
      // Another run is active: the list must show it too.
      if (failed.status === 409) onChanged();
      announce(`${failed.title}. ${failed.detail}`);
    } finally {
      setBusy(false);
    }
  };

  return (
    <section class="card" aria-labelledby="retrain">
      <h2 id="retrain">Train a new model</h2>
      <NewImages of={dataset} />
      <form
        onSubmit={(event) => {
          event.preventDefault();
          void start(event.currentTarget);
        }}
      >
        {USUAL.map((name) => (
          <Input key={name} name={name} of={FIELDS[name]} />
        ))}
        <details
          onInvalidCapture={(event) => {
            // Invalid fields must be visible.
            event.currentTarget.open = true;
          }}
        >
          <summary>More</summary>
          {ADVANCED.map((name) => (
            <Input key={name} name={name} of={FIELDS[name]} />
          ))}
        </details>
        {problem && (
          <Failure problem={problem}>
            {other && (
              <span>
                Active run: <RunName of={other} />
              </span>
            )}
          </Failure>
        )}
        {current && (
          <p class="hint">
            Run <RunName of={current.id} /> is active. Only one can run at a time.
          </p>
        )}
        <button type="submit" aria-busy={busy} disabled={busy || current !== undefined}>
          Start training
        </button>
        <p class="hint">
          Trains on all images. The new model goes live by itself if it passes the quality checks.
        </p>
      </form>
    </section>
  );
}
