/** Start a training: on all images there are, by the recipe or with parameters of one's own. */

import { useId, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { api, ask, type Schemas } from "../../api/client";
import { asProblem, type Problem } from "../../api/problem";
import { config } from "../../api/session";
import type { Loaded } from "../../api/use-load";
import { className, count, plural } from "../../format";
import { announce } from "../../ui/announce";
import { Failure, Working } from "../../ui/state";
import { RunName, runPath } from "./names";
import { FIELDS, type Field, type Name, parametersOf } from "./parameters";
import { type Run, runUnderWay } from "./progress";

type Waiting = Schemas["Waiting"];

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
  return (
    <div class="parameter">
      <label for={id}>{of.label}</label>
      {of.kind === "choice" ? (
        <select id={id} name={name} aria-describedby={hint}>
          <option value="">As the live model’s</option>
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
          placeholder="as in the recipe"
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

/** What a training would learn that no one before has. */
function New({ of }: { of: Loaded<Waiting> }) {
  if (!of.value) {
    return of.problem ? (
      <Failure problem={of.problem} retry={of.reload} />
    ) : (
      <Working label="Counting what is new …" />
    );
  }
  const { images, counts } = of.value;
  return (
    <p class="new-images">
      {images === 0 ? (
        <>
          <strong>No new image</strong> since the last training: another one would bring little.{" "}
        </>
      ) : (
        <>
          <strong>{plural(images, "new image")}</strong> that no training has seen:{" "}
          {Object.entries(counts)
            .map(([label, n]) => `${count(n)} ${className(label).toLowerCase()}`)
            .join(", ")}
          .{" "}
        </>
      )}
      <button type="button" class="link" onClick={of.reload} aria-busy={of.loading}>
        Count again
      </button>
    </p>
  );
}

export function Retrain({
  runs,
  waiting,
  onChanged,
}: {
  runs: readonly Run[];
  waiting: Loaded<Waiting>;
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
      announce("The training is requested");
      onChanged();
      route(runPath(run.id));
    } catch (error) {
      const failed = asProblem(error, config.value.api);
      setProblem(failed);
      // Another one is under way: the list is to show it too.
      if (failed.status === 409) onChanged();
      announce(`${failed.title}. ${failed.detail}`);
    } finally {
      setBusy(false);
    }
  };

  return (
    <section class="card" aria-labelledby="retrain">
      <h2 id="retrain">Start a training</h2>
      <New of={waiting} />
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
            // What is wrong in here must be seen to be put right.
            event.currentTarget.open = true;
          }}
        >
          <summary>Advanced</summary>
          {ADVANCED.map((name) => (
            <Input key={name} name={name} of={FIELDS[name]} />
          ))}
        </details>
        {problem && (
          <Failure problem={problem}>
            {other && (
              <span>
                Follow it: <RunName of={other} />
              </span>
            )}
          </Failure>
        )}
        {current && (
          <p class="hint">
            One runs at a time, and <RunName of={current.id} /> is under way.
          </p>
        )}
        <button type="submit" aria-busy={busy} disabled={busy || current !== undefined}>
          Start a training
        </button>
        <p class="hint">
          On all images there are. The new model goes live by itself if the gate finds it no worse
          than the one that is live.
        </p>
      </form>
    </section>
  );
}
