/** One version of the model: how good it is, how it was made, and when it was live. */

import { useState } from "preact/hooks";
import { useRoute } from "preact-iso";
import { api, ask, type Schemas } from "../../api/client";
import { admin } from "../../api/session";
import { useLoad } from "../../api/use-load";
import { count, dateTime, decimal, duration, NONE, percent } from "../../format";
import { ConfusionMatrix } from "../../ui/confusion-matrix";
import { Copy } from "../../ui/copy";
import { Scroll } from "../../ui/scroll";
import { Empty, Shown } from "../../ui/state";
import { Private } from "../../ui/token";
import { scaleFrom, Whisker } from "./figures";
import { gateOf } from "./gate";
import { GateVerdict } from "./gate-verdict";
import { confusionOf, ends, interval, inWords, knob, loose, MEASURES, numberOr } from "./metrics";
import "./models.css";
import { By, LiveTag, plainly, RunName, VersionName } from "./names";
import { PromoteDialog } from "./promote";
import { Sides } from "./sides";

type Model = Schemas["Model"];
type Loose = Record<string, unknown>;

function Measured({ of: { metrics } }: { of: Model }) {
  const matrix = confusionOf(metrics);
  const uncertain = loose(metrics.uncertain);
  return (
    <section class="card" aria-labelledby="measured">
      <h2 id="measured">How good it is</h2>
      <p class="hint">
        On {count(numberOr(metrics.images))} test images that it never saw;{" "}
        {typeof metrics.intervals === "string" && `intervals: ${metrics.intervals}.`}
      </p>
      <Scroll label="Table of measurements">
        <table class="measures">
          <thead>
            <tr>
              <th scope="col">Measured</th>
              <th scope="col" class="number">
                Value
              </th>
              <th scope="col">95 % interval</th>
            </tr>
          </thead>
          <tbody>
            {MEASURES.map(({ name, label, hint, format }) => {
              const one = interval(metrics, name);
              return (
                <tr key={name}>
                  <th scope="row">
                    {label}
                    <small>{hint}</small>
                  </th>
                  <td class="number">{format(one.value)}</td>
                  <td>
                    {one.low !== null && (
                      <>
                        {ends(format, one)}
                        <Whisker of={one} from={scaleFrom(one)} to={1} />
                      </>
                    )}
                    {one.reason && <small>{one.reason}</small>}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scroll>
      {matrix && (
        <ConfusionMatrix of={matrix} caption="Test images by what they are and what it said" />
      )}
      {numberOr(uncertain.share) !== null && (
        <p class="hint">
          It calls {percent(numberOr(uncertain.share))} of its verdicts uncertain. Of those{" "}
          {percent(numberOr(uncertain.accuracy_inside))} are right, of the others{" "}
          {percent(numberOr(uncertain.accuracy_outside))}.
        </p>
      )}
    </section>
  );
}

const CALIBRATIONS: Record<string, string> = {
  platt: "Platt scaling",
  temperature: "by temperature alone",
};

const words = (value: unknown): string => (typeof value === "string" ? value : NONE);

function Made({ of: { metadata, source, run } }: { of: Model }) {
  const calibration = loose(metadata.calibration);
  const band = loose(metadata.uncertain_band);
  const networks = Array.isArray(metadata.networks) ? metadata.networks.map(loose) : [];
  return (
    <section class="card" aria-labelledby="made">
      <h2 id="made">How it was made</h2>
      <dl class="facts">
        <dt>Made</dt>
        <dd>
          {dateTime(typeof metadata.training_date === "string" ? metadata.training_date : null)}
          {numberOr(metadata.seconds) !== null && `, in ${duration(numberOr(metadata.seconds))}`}
        </dd>
        <dt>By</dt>
        <dd>
          {source === "baseline" ? (
            "it ships with the service"
          ) : run ? (
            <>
              run <RunName of={run} />
            </>
          ) : (
            "a training elsewhere, or long ago"
          )}
        </dd>
        <dt>Began from</dt>
        <dd>
          {typeof metadata.from === "string" ? (
            <VersionName of={metadata.from} />
          ) : (
            "no version before it"
          )}
        </dd>
        <dt>Architecture</dt>
        <dd>{words(metadata.architecture)}</dd>
        <dt>Calibrated</dt>
        <dd>
          {CALIBRATIONS[words(calibration.method)] ?? words(calibration.method)}, temperature{" "}
          {decimal(numberOr(calibration.temperature))}
        </dd>
        <dt>Clickbait from</dt>
        <dd>
          {percent(numberOr(metadata.threshold))}, uncertain between {percent(numberOr(band.low))}{" "}
          and {percent(numberOr(band.high))}
        </dd>
        {networks.map((one, at) => (
          <>
            <dt>Network {at + 1}</dt>
            <dd>
              {words(one.role)}: best epoch {count(numberOr(one.best_epoch))} of{" "}
              {count(numberOr(one.epochs))}
              {one.stopped === true && ", stopped early"}, validation{" "}
              {decimal(numberOr(one.validation_score))}
            </dd>
          </>
        ))}
        <dt>SHA-256</dt>
        <dd>
          <Copy text={words(metadata.sha256)} label="hash of the model" />
        </dd>
      </dl>
      <Sides of={loose(metadata.images)} />
      {numberOr(metadata.left_out_images) ? (
        <p class="hint">{count(numberOr(metadata.left_out_images))} images were left out.</p>
      ) : null}
      <Knobs title="Recipe" of={loose(metadata.recipe)} />
      <Knobs title="Libraries" of={loose(metadata.libraries)} />
    </section>
  );
}

function Knobs({ title, of }: { title: string; of: Loose }) {
  const all = Object.entries(of);
  if (all.length === 0) return null;
  return (
    <details>
      <summary>
        {title} <small>({all.length})</small>
      </summary>
      <dl class="facts knobs">
        {all.map(([name, value]) => (
          <>
            <dt>{inWords(name)}</dt>
            <dd>{knob(value)}</dd>
          </>
        ))}
      </dl>
    </details>
  );
}

function History({ of: { promotions, live } }: { of: Model }) {
  return (
    <section class="card" aria-labelledby="history">
      <h2 id="history">When it was made live</h2>
      {promotions.length === 0 ? (
        <Empty title={live ? "It has been live from the beginning" : "It has never been live"} />
      ) : (
        <ol class="promotions">
          {promotions.map((one) => (
            <li key={one.at}>
              <p>
                {one.forced && <strong class="warn">Past the gate. </strong>}
                {plainly(one.reason)}
              </p>
              <p class="hint">
                <time dateTime={one.at}>{dateTime(one.at)}</time>, by <By whom={one.by} />
                {one.previous && (
                  <>
                    , instead of <VersionName of={one.previous} />
                  </>
                )}
              </p>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

function Whole({ of: model, live, onChanged }: { of: Model; live: string; onChanged: () => void }) {
  const [asking, setAsking] = useState(false);
  const gate = gateOf(model.gate);
  const back = model.source === "baseline" || model.promotions.length > 0;
  return (
    <>
      <div class="row version-actions">
        {model.live ? <LiveTag /> : null}
        <a href={`/data?show=model&version=${model.version}`}>Its curves and mistakes</a>
        {!model.live && (
          <a href={`/models?show=versions&compare=${live},${model.version}`}>
            Compare with the live one
          </a>
        )}
        {admin.value && !model.live && (
          <button type="button" class="small" onClick={() => setAsking(true)}>
            {back ? "Roll back to it" : "Promote it"}
          </button>
        )}
      </div>
      <div class="columns">
        <Measured of={model} />
        <div>
          <Made of={model} />
          <History of={model} />
        </div>
      </div>
      <section class="card" aria-labelledby="gate">
        <h2 id="gate">The gate’s verdict</h2>
        {gate ? (
          <GateVerdict of={gate} />
        ) : (
          <Empty title="No gate has judged it">
            <p>
              {model.source === "baseline"
                ? "It ships with the service: it is what the first trained version is compared with."
                : "It was not made by a run here, or its run is too long ago to be known."}
            </p>
          </Empty>
        )}
      </section>
      {asking && (
        <PromoteDialog
          version={model.version}
          live={live}
          back={back}
          onClose={() => setAsking(false)}
          onDone={() => {
            setAsking(false);
            onChanged();
            // Not before the dialog is gone: what is behind it takes no focus.
            requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus());
          }}
        />
      )}
    </>
  );
}

function Loaded({ version }: { version: string }) {
  const loaded = useLoad(
    async (signal) => {
      const [model, { live }] = await Promise.all([
        ask(api().GET("/models/{version}", { params: { path: { version } }, signal })),
        ask(api().GET("/promotions", { params: { query: { limit: 1 } }, signal })),
      ]);
      return { model, live: live.version ?? "" };
    },
    [version],
  );
  return (
    <Shown of={loaded} label="The version">
      {({ model, live }) => <Whole of={model} live={live} onChanged={loaded.reload} />}
    </Shown>
  );
}

export default function VersionPage() {
  const version = useRoute().params.version ?? "";
  return (
    <div class="models">
      <p class="way-back">
        <a href="/models">All versions</a>
      </p>
      <h1 tabIndex={-1}>Version {version}</h1>
      <Private reason="How a version was made and measured is not for everybody.">
        {() => <Loaded version={version} />}
      </Private>
    </div>
  );
}
