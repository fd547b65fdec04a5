/** One training run: its state, learning curves, quality checks and images. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useRoute } from "preact-iso";
import { api, ask } from "../../api/client";
import { useLoad } from "../../api/use-load";
import { count, dateTime, duration, time } from "../../format";
import { announce } from "../../ui/announce";
import { Copy } from "../../ui/copy";
import { Figure, Figures } from "../../ui/figure";
import { Notify } from "../../ui/notify";
import { Shown } from "../../ui/state";
import { useTitle } from "../../ui/tab-title";
import { Private } from "../../ui/token";
import { CancelRun } from "./cancel";
import { Curves } from "./curves";
import { gateOf } from "./gate";
import { GateVerdict } from "./gate-verdict";
import { Advice, Improved } from "./improved";
import { adviceOf, headline, improvementOf, methodText } from "./improvement";
import { Labels } from "./labels";
import { settingText, withSpaces } from "./metrics";
import "./models.css";
import { plainly, VersionName } from "./names";
import { choiceText } from "./parameters";
import {
  ended,
  epochsOf,
  headOf,
  imagesOf,
  isSmall,
  type Run,
  type State,
  secondsLeft,
  stateName,
  stepsOf,
  TRIGGERS,
  titleOf,
  tookSeconds,
} from "./progress";
import { RollBack } from "./roll-back";
import { Learned } from "./sides";
import { Try } from "./try";

/** Milliseconds between polls while the run is active; a small update takes seconds. */
const EVERY_MS = 2_000;
const EVERY_SMALL_MS = 1_000;

const TICK_MS = 1_000;

/** The current time, updated every second while `ticking`. */
function useNow(ticking: boolean): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, [ticking]);
  return now;
}

const TONES: Partial<Record<State, string>> = { PROMOTED: "good", REJECTED: "warn", FAILED: "bad" };

/** What the reader can do, or must wait for. */
function adviceOn(run: Run): ComponentChildren {
  const restart = <a href="/models?show=training">start another training</a>;
  if (isSmall(run) && !ended(run.state)) {
    return "A small update takes seconds, up to a minute. You can close this page.";
  }
  switch (run.state) {
    case "QUEUED":
      return (
        <>
          On AWS, starting a machine takes a minute or two. On your own machine, training starts at
          once, unless TensorFlow is missing or another job is running. You can close this page.
        </>
      );
    case "RUNNING":
      return "You can close this page; training continues.";
    case "EVALUATING":
      return "The new and the live model are compared on test images that neither has trained on.";
    case "PROMOTED":
      return (
        <>
          It is used everywhere within half a minute. If it does worse than expected, roll back: the
          model before it is kept.
        </>
      );
    case "REJECTED":
      return run.label_check?.rejected && !run.version ? (
        <>
          Nothing was trained. Review the images below. If a label is wrong, upload the image again
          with the right one. If all labels are right, {restart} and skip the label check.
        </>
      ) : adviceOf(run.gate) ? (
        run.version && "The new version is kept, and you can still make it live from its page."
      ) : (
        <>
          The new version is kept, and you can still make it live from its page. More labelled
          images help most: about one in seven becomes a test image. Then {restart}.
        </>
      );
    case "FAILED":
      return (
        <>
          The live model has not changed and no image is lost. See the end of the log below, fix the
          cause, then {restart}.
        </>
      );
    case "CANCELLED":
      return (
        <>
          The live model has not changed and no image is lost. When you are ready, {restart}: it
          does not start by itself on the same images.
        </>
      );
  }
}

function Steps({ of, now }: { of: Run; now: number }) {
  return (
    <ol class="steps">
      {stepsOf(of, now).map(({ name, place, end, at, seconds }) => (
        <li
          key={name}
          class={`step ${place} ${(end && TONES[end]) ?? ""}`}
          {...(place === "now" ? { "aria-current": "step" as const } : {})}
        >
          <strong>{name}</strong>
          <small>
            {place === "skipped" && "Not reached"}
            {seconds !== undefined && duration(seconds)}
            {end && at && `at ${time(at)}`}
          </small>
        </li>
      ))}
    </ol>
  );
}

/** The epochs as a bar, with the time left; training may stop early. */
function EpochBar({ of: run }: { of: Run }) {
  if (run.state === "EVALUATING" || ended(run.state)) return null;
  if (isSmall(run) || !run.epoch || !run.epochs) return <progress aria-label={run.reason} />;
  const left = secondsLeft(epochsOf(run.history), run.epochs);
  return (
    <>
      <progress aria-label="Epochs" value={run.epoch} max={run.epochs} />
      <p class="epoch-numbers">
        <strong>
          Epoch {run.epoch} of at most {run.epochs}
        </strong>
        {left ? ` · about ${duration(left)} of training left` : " · last epoch done"}
      </p>
    </>
  );
}

/** Why the gate refused, without the figures, which are above. */
const refusalsOf = (run: Run): string =>
  gateOf(run.gate)
    ?.checks.filter(({ passed }) => !passed)
    .map(({ detail }) => detail)
    .join(" ") || run.reason;

function Now({ of: run, refresh }: { of: Run; refresh: () => void }) {
  const now = useNow(!ended(run.state));
  const improvement = ended(run.state) ? improvementOf(run.gate) : null;
  return (
    <section class={`card run-now ${TONES[run.state] ?? ""}`} aria-labelledby="now">
      <div class="row apart">
        <h2 id="now">{improvement ? headline(improvement) : headOf(run)}</h2>
        <span class="clock" title="Time since the request">
          {duration(tookSeconds(run, now))}
        </span>
      </div>
      {improvement ? (
        <>
          <h3 class={TONES[run.state]}>
            {run.state === "REJECTED" ? "Live model kept" : headOf(run)}
          </h3>
          <Improved of={improvement} />
        </>
      ) : (
        <p class="run-reason">{plainly(run.reason)}</p>
      )}
      {run.state === "REJECTED" && (
        <>
          {improvement && <p class="run-reason">{plainly(refusalsOf(run))}</p>}
          <Advice of={run.gate} />
        </>
      )}
      <p>
        {run.method_reason ? (
          plainly(run.method_reason)
        ) : (
          <strong>{methodText(run.method, imagesOf(run)?.usable ?? null)}.</strong>
        )}
      </p>
      {run.version && (
        <div class="row version-actions">
          <span>
            Version <VersionName of={run.version} />
          </span>
          {run.state === "PROMOTED" && <RollBack version={run.version} />}
        </div>
      )}
      <EpochBar of={run} />
      <Steps of={run} now={now} />
      <p class="hint">{adviceOn(run)}</p>
      <Notify over={ended(run.state) ? headOf(run) : null} />
      {!ended(run.state) && <CancelRun run={run.id} refresh={refresh} />}
    </section>
  );
}

function Images({ of: run }: { of: Run }) {
  const images = imagesOf(run);
  // The run names its version before the version exists.
  const version = run.state === "EVALUATING" || ended(run.state) ? run.version : null;
  const loaded = useLoad(
    async (signal) =>
      version
        ? ask(api().GET("/models/{version}", { params: { path: { version } }, signal }))
        : null,
    [version],
  );
  return (
    <section class="card" aria-labelledby="images">
      <h2 id="images">Training images</h2>
      {images ? (
        <Figures>
          <Figure
            label="Usable images"
            value={count(images.usable)}
            note={`of ${count(images.listed)} in all`}
          />
          <Figure label="New" value={count(images.new)} note="since the last training" />
          <Figure
            label="Left out"
            value={count(images.left_out)}
            note={images.left_out ? "copies, conflicting labels, unreadable" : "none"}
          />
        </Figures>
      ) : (
        <p class="hint">Counted when training begins.</p>
      )}
      {version && (
        <Shown of={loaded} label="Loading the splits">
          {(model) => model && <Learned of={model.metadata} />}
        </Shown>
      )}
      <Facts of={run} />
    </section>
  );
}

function Facts({ of: run }: { of: Run }) {
  const parameters = Object.entries(run.parameters).filter(([, value]) => value !== false);
  return (
    <dl class="facts">
      <dt>Started by</dt>
      <dd>{TRIGGERS[run.trigger]}</dd>
      <dt>Requested</dt>
      <dd>{dateTime(run.created)}</dd>
      <dt>Parameters</dt>
      <dd>
        {parameters.length === 0
          ? "defaults"
          : parameters
              .map(([name, value]) =>
                value === true
                  ? withSpaces(name)
                  : (choiceText(name, value) ?? `${withSpaces(name)} ${settingText(value)}`),
              )
              .join(", ")}
      </dd>
      {run.champion && (
        <>
          <dt>Compared with</dt>
          <dd>
            <VersionName of={run.champion} />
          </dd>
        </>
      )}
      {run.job && (
        <>
          <dt>AWS Batch job</dt>
          <dd>
            <Copy text={run.job} label="job ID" />
          </dd>
        </>
      )}
    </dl>
  );
}

function Whole({ of: run, refresh }: { of: Run; refresh: () => void }) {
  const gate = gateOf(run.gate);
  const epochs = epochsOf(run.history);
  const trained = (run.state === "RUNNING" && !isSmall(run)) || epochs.length > 0;
  return (
    <>
      <Now of={run} refresh={refresh} />
      {(run.warnings ?? []).map((warning) => (
        <p key={String(warning)} class="card run-warning">
          <strong>Warning.</strong> {plainly(String(warning))}
        </p>
      ))}
      {trained && (
        <section class="card" aria-labelledby="curves">
          <h2 id="curves">Learning curves</h2>
          <Curves of={epochs} planned={run.epochs ?? 1} over={ended(run.state)} />
        </section>
      )}
      {ended(run.state) && run.version && run.champion && run.champion !== run.version && (
        <Try before={run.champion} after={run.version} />
      )}
      {gate && (
        <section class="card" aria-labelledby="gate">
          <h2 id="gate">Quality checks</h2>
          <GateVerdict of={gate} />
        </section>
      )}
      <div class={run.label_check ? "columns" : ""}>
        {run.label_check && <Labels of={run.label_check} refresh={refresh} />}
        <div>
          <Images of={run} />
          {run.log && run.log.length > 0 && (
            <details class="card log" open={run.state === "FAILED"}>
              <summary>Log: last {run.log.length} lines</summary>
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: keyboard users must reach it to scroll. */}
              <pre tabIndex={0}>{run.log.join("\n")}</pre>
            </details>
          )}
        </div>
      </div>
    </>
  );
}

function Followed({ id }: { id: string }) {
  const [over, setOver] = useState(false);
  const [small, setSmall] = useState(false);
  const loaded = useLoad(
    (signal) => ask(api().GET("/runs/{run}", { params: { path: { run: id } }, signal })),
    [id],
    over ? null : small ? EVERY_SMALL_MS : EVERY_MS,
    true,
  );
  useTitle(loaded.value ? titleOf(loaded.value) : null);
  const state = loaded.value?.state;
  useEffect(() => {
    setOver(loaded.problem?.status === 404 || (state !== undefined && ended(state)));
  }, [state, loaded.problem?.status]);
  const method = loaded.value?.method;
  useEffect(() => setSmall(method === "small_update"), [method]);
  const before = useRef(state);
  useEffect(() => {
    if (loaded.value && state && before.current) {
      announce(`${stateName(loaded.value, state)}: ${loaded.value.reason}`);
    }
    before.current = state;
  }, [state]);
  return (
    <Shown of={loaded} label="Loading the run">
      {(run) => <Whole of={run} refresh={loaded.reload} />}
    </Shown>
  );
}

export default function RunPage() {
  const id = useRoute().params.run ?? "";
  return (
    <div class="models">
      <p class="way-back">
        <a href="/models?show=training">All runs</a>
      </p>
      <h1 tabIndex={-1}>Run {id}</h1>
      <Private reason="Sign in to see training runs.">{() => <Followed id={id} />}</Private>
    </div>
  );
}
