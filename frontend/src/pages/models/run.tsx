/** One training run: where it is now, how it learns, and what comes of it. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useRoute } from "preact-iso";
import { api, ask } from "../../api/client";
import { useLoad } from "../../api/use-load";
import { count, dateTime, duration, time } from "../../format";
import { announce } from "../../ui/announce";
import { Copy } from "../../ui/copy";
import { Figure, Figures } from "../../ui/figure";
import { Shown } from "../../ui/state";
import { Private } from "../../ui/token";
import { Curves } from "./curves";
import { gateOf } from "./gate";
import { GateVerdict } from "./gate-verdict";
import { Labels } from "./labels";
import { inWords, knob, loose } from "./metrics";
import "./models.css";
import { plainly, VersionName } from "./names";
import {
  ended,
  epochsOf,
  imagesOf,
  type Run,
  STATES,
  type State,
  secondsLeft,
  stepsOf,
  TRIGGERS,
  tookSeconds,
} from "./progress";
import { Sides } from "./sides";

/** Milliseconds between looks, while there is something to see. */
const EVERY_MS = 2_000;

const TICK_MS = 1_000;

/** The time now, every second while `ticking`. */
function useNow(ticking: boolean): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    if (!ticking) return;
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, [ticking]);
  return now;
}

const HEADS: Record<State, string> = {
  QUEUED: "Waiting for a machine",
  RUNNING: "Learning",
  EVALUATING: "Taking its exam",
  PROMOTED: "The new model is live",
  REJECTED: "The live model stays",
  FAILED: "The training failed",
};

const TONES: Partial<Record<State, string>> = { PROMOTED: "good", REJECTED: "warn", FAILED: "bad" };

/** What the reader can do, or has to wait for. */
function adviceOn(run: Run): ComponentChildren {
  const again = <a href="/models?show=training">start another one</a>;
  switch (run.state) {
    case "QUEUED":
      return (
        <>
          AWS Batch starts a machine and fetches the training’s image, which takes a minute or two;
          on your own machine it begins at once, unless another job is running. You may close this
          page: the run does not depend on it.
        </>
      );
    case "RUNNING":
      return "You may close this page: the run does not depend on it.";
    case "EVALUATING":
      return "Both models answer the same test images, which neither of them has trained on.";
    case "PROMOTED":
      return (
        <>
          It answers everywhere within half a minute. Should it do worse than it looks here,{" "}
          <a href="/models">roll back</a>.
        </>
      );
    case "REJECTED":
      return run.label_check?.rejected && !run.version ? (
        <>
          Nothing was trained. Look at the images below: if they are in the wrong class, upload them
          again in the right one; if their labels are right, {again} that skips the label check.
        </>
      ) : (
        <>
          The new version is kept, and can still be made live from its page. What helps most is more
          labelled images: about one in seven becomes a test image. Then {again}.
        </>
      );
    case "FAILED":
      return (
        <>
          The live model has not changed, and no image is lost. The last lines of its log, below,
          say more; when the reason is gone, {again}.
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
            {place === "skipped" && "not reached"}
            {seconds !== undefined && duration(seconds)}
            {end && at && `at ${time(at)}`}
          </small>
        </li>
      ))}
    </ol>
  );
}

/** Epochs as a bar, with the time that is left; an early stop makes it shorter. */
function EpochBar({ of: run }: { of: Run }) {
  if (run.state === "EVALUATING" || ended(run.state)) return null;
  if (!run.epoch || !run.epochs) return <progress aria-label={run.reason} />;
  const left = secondsLeft(epochsOf(run.history), run.epochs);
  return (
    <>
      <progress aria-label="Epochs" value={run.epoch} max={run.epochs} />
      <p class="epoch-numbers">
        <strong>
          Epoch {run.epoch} of at most {run.epochs}
        </strong>
        {left ? ` · about ${duration(left)} of training left` : " · the last one is done"}
      </p>
    </>
  );
}

function Now({ of: run }: { of: Run }) {
  const now = useNow(!ended(run.state));
  return (
    <section class={`card run-now ${TONES[run.state] ?? ""}`} aria-labelledby="now">
      <div class="row apart">
        <h2 id="now">{HEADS[run.state]}</h2>
        <span class="clock" title="from its request on">
          {duration(tookSeconds(run, now))}
        </span>
      </div>
      <p class="run-reason">{plainly(run.reason)}</p>
      {run.version && (
        <p>
          Version <VersionName of={run.version} />
        </p>
      )}
      <EpochBar of={run} />
      <Steps of={run} now={now} />
      <p class="hint">{adviceOn(run)}</p>
    </section>
  );
}

function Images({ of: run }: { of: Run }) {
  const told = imagesOf(run);
  // A version is told of before it is there to be asked about.
  const version = run.state === "EVALUATING" || ended(run.state) ? run.version : null;
  const made = useLoad(
    async (signal) =>
      version
        ? ask(api().GET("/models/{version}", { params: { path: { version } }, signal }))
        : null,
    [version],
  );
  return (
    <section class="card" aria-labelledby="images">
      <h2 id="images">What it learns from</h2>
      {told ? (
        <Figures>
          <Figure
            label="Usable images"
            value={count(told.usable)}
            note={`of ${count(told.listed)} there are`}
          />
          <Figure label="New" value={count(told.new)} note="no training has seen them" />
          <Figure
            label="Left out"
            value={count(told.left_out)}
            note={told.left_out ? "copies, contradictions, unreadable" : "none"}
          />
        </Figures>
      ) : (
        <p class="hint">They are counted when the training begins.</p>
      )}
      {version && (
        <Shown of={made} label="The images by side">
          {(model) => model && <Sides of={loose(model.metadata.images)} />}
        </Shown>
      )}
      <Facts of={run} />
    </section>
  );
}

function Facts({ of: run }: { of: Run }) {
  const asked = Object.entries(run.parameters).filter(([, value]) => value !== false);
  return (
    <dl class="facts">
      <dt>Started for</dt>
      <dd>{TRIGGERS[run.trigger]}</dd>
      <dt>Requested</dt>
      <dd>{dateTime(run.created)}</dd>
      <dt>Parameters</dt>
      <dd>
        {asked.length === 0
          ? "all by the recipe"
          : asked
              .map(([name, value]) =>
                value === true ? inWords(name) : `${inWords(name)} ${knob(value)}`,
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
          <dt>Batch job</dt>
          <dd>
            <Copy text={run.job} label="job id" />
          </dd>
        </>
      )}
    </dl>
  );
}

function Whole({ of: run, again }: { of: Run; again: () => void }) {
  const gate = gateOf(run.gate);
  const epochs = epochsOf(run.history);
  const trains = run.state === "RUNNING" || epochs.length > 0;
  return (
    <>
      <Now of={run} />
      {(run.warnings ?? []).map((warning) => (
        <p key={String(warning)} class="card run-warning">
          <strong>Warning.</strong> {plainly(String(warning))}
        </p>
      ))}
      {trains && (
        <section class="card" aria-labelledby="curves">
          <h2 id="curves">How it learns</h2>
          <Curves of={epochs} planned={run.epochs ?? 1} />
        </section>
      )}
      {gate && (
        <section class="card" aria-labelledby="gate">
          <h2 id="gate">The gate’s verdict</h2>
          <GateVerdict of={gate} />
        </section>
      )}
      <div class={run.label_check ? "columns" : ""}>
        {run.label_check && <Labels of={run.label_check} again={again} />}
        <div>
          <Images of={run} />
          {run.log && run.log.length > 0 && (
            <details class="card log" open={run.state === "FAILED"}>
              <summary>The last {run.log.length} lines of its log</summary>
              {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keys. */}
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
  const loaded = useLoad(
    (signal) => ask(api().GET("/runs/{run}", { params: { path: { run: id } }, signal })),
    [id],
    over ? null : EVERY_MS,
  );
  const state = loaded.value?.state;
  useEffect(() => {
    setOver(loaded.problem?.status === 404 || (state !== undefined && ended(state)));
  }, [state, loaded.problem?.status]);
  const before = useRef(state);
  useEffect(() => {
    if (state && before.current) announce(`${STATES[state]}: ${loaded.value?.reason}`);
    before.current = state;
  }, [state]);
  return (
    <Shown of={loaded} label="The run">
      {(run) => <Whole of={run} again={loaded.reload} />}
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
      <Private reason="How trainings go is not for everybody.">
        {() => <Followed id={id} />}
      </Private>
    </div>
  );
}
