/** One version of the model: test results, training details, quality checks and releases. */

import { useState } from "preact/hooks";
import { useRoute } from "preact-iso";
import { api, ask, type Schemas } from "../../api/client";
import { admin } from "../../api/session";
import { useLoad } from "../../api/use-load";
import { count, dateTime, decimal, duration, NONE, percent } from "../../format";
import { bandOf, bandText } from "../../store/model";
import { ConfusionMatrix } from "../../ui/confusion-matrix";
import { Copy } from "../../ui/copy";
import { Scroll } from "../../ui/scroll";
import { Empty, Shown } from "../../ui/state";
import { Private } from "../../ui/token";
import { Download } from "./download";
import { scaleFrom, Whisker } from "./figures";
import { gateOf } from "./gate";
import { GateVerdict } from "./gate-verdict";
import {
  confusionOf,
  ends,
  interval,
  loose,
  MEASURES,
  numberOr,
  settingText,
  withSpaces,
} from "./metrics";
import "./models.css";
import { By, LiveTag, plainly, RunName, thresholdText, VersionName } from "./names";
import { Name, Star } from "./note";
import { choiceText } from "./parameters";
import { PromoteDialog } from "./promote";
import { Learned } from "./sides";
import { Try } from "./try";

type Model = Schemas["Model"];
type Loose = Record<string, unknown>;

function Measured({ of: { metrics, metadata } }: { of: Model }) {
  const matrix = confusionOf(metrics);
  const uncertain = loose(metrics.uncertain);
  return (
    <section class="card" aria-labelledby="measured">
      <h2 id="measured">Test results</h2>
      <p class="hint">
        {metadata.small_update
          ? `On ${count(numberOr(metrics.images))} of your images, each answered by a model that had not learned from it.`
          : `On ${count(numberOr(metrics.images))} test images that it was not trained on.`}
        {typeof metrics.intervals === "string" &&
          ` 95% intervals: ${metrics.intervals.replace(/^95 ?% /, "")}.`}
      </p>
      <Scroll label="Table of measurements">
        <table class="measures">
          <thead>
            <tr>
              <th scope="col">Measurement</th>
              <th scope="col" class="number">
                Value
              </th>
              <th scope="col">95% interval</th>
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
      {matrix && <ConfusionMatrix of={matrix} caption="Test images by label and verdict" />}
      {numberOr(uncertain.share) !== null && (
        <p class="hint">
          {percent(numberOr(uncertain.share))} of verdicts are marked uncertain. Of these,{" "}
          {percent(numberOr(uncertain.accuracy_inside))} are right; of the others,{" "}
          {percent(numberOr(uncertain.accuracy_outside))}.
        </p>
      )}
    </section>
  );
}

const CALIBRATIONS: Record<string, string> = {
  platt: "Platt scaling",
  temperature: "Temperature scaling",
  "small update": "Learned with the last layer",
};

const textOr = (value: unknown): string => (typeof value === "string" ? value : NONE);

function Details({ of: { version, metadata, source, run, threshold } }: { of: Model }) {
  const calibration = loose(metadata.calibration);
  const networks = Array.isArray(metadata.networks) ? metadata.networks.map(loose) : [];
  return (
    <section class="card" aria-labelledby="made">
      <h2 id="made">Training details</h2>
      <dl class="facts">
        <dt>Trained</dt>
        <dd>
          {dateTime(typeof metadata.training_date === "string" ? metadata.training_date : null)}
          {numberOr(metadata.seconds) !== null && `, in ${duration(numberOr(metadata.seconds))}`}
        </dd>
        <dt>Source</dt>
        <dd>
          {source === "baseline" ? (
            "built in"
          ) : run ? (
            <>
              run <RunName of={run} />
            </>
          ) : (
            "trained elsewhere, or too long ago"
          )}
        </dd>
        {metadata.small_update && typeof metadata.anchor === "string" ? (
          <>
            <dt>Built on</dt>
            <dd>
              <VersionName of={metadata.anchor} />: its network, with a new last layer
            </dd>
            <dt>Your labels</dt>
            <dd>{choiceText("own_weight", metadata.own_weight) ?? NONE}</dd>
          </>
        ) : (
          <>
            <dt>Started from</dt>
            <dd>
              {typeof metadata.from === "string" ? (
                <VersionName of={metadata.from} />
              ) : (
                "no earlier version"
              )}
            </dd>
          </>
        )}
        <dt>Architecture</dt>
        <dd>{textOr(metadata.architecture)}</dd>
        <dt>Calibration</dt>
        <dd>
          {CALIBRATIONS[textOr(calibration.method)] ?? textOr(calibration.method)}, temperature{" "}
          {decimal(numberOr(calibration.temperature))}
        </dd>
        <dt>Threshold</dt>
        <dd>
          {percent(numberOr(metadata.threshold))}
          {threshold !== metadata.threshold &&
            `; the service uses ${percent(threshold)}, which an admin set`}
          . Uncertain {bandText(bandOf(metadata.uncertain_band))}
        </dd>
        {networks.map((one, at) => (
          <>
            <dt>Network {at + 1}</dt>
            <dd>
              {textOr(one.role)}: best epoch {count(numberOr(one.best_epoch))} of{" "}
              {count(numberOr(one.epochs))}
              {one.stopped === true && ", stopped early"}, validation{" "}
              {decimal(numberOr(one.validation_score))}
            </dd>
          </>
        ))}
        <dt>SHA-256</dt>
        <dd>
          <Copy text={textOr(metadata.sha256)} label="model hash" />
        </dd>
      </dl>
      {source !== "baseline" && <Download version={version} />}
      <Learned of={metadata} />
      {numberOr(metadata.left_out_images) ? (
        <p class="hint">{count(numberOr(metadata.left_out_images))} images left out.</p>
      ) : null}
      <Settings title="Recipe" of={loose(metadata.recipe)} />
      <Settings title="Libraries" of={loose(metadata.libraries)} />
    </section>
  );
}

function Settings({ title, of }: { title: string; of: Loose }) {
  const all = Object.entries(of);
  if (all.length === 0) return null;
  return (
    <details>
      <summary>
        {title} <small>({all.length})</small>
      </summary>
      <dl class="facts settings">
        {all.map(([name, value]) => (
          <>
            <dt>{withSpaces(name)}</dt>
            <dd>{settingText(value)}</dd>
          </>
        ))}
      </dl>
    </details>
  );
}

function History({ of: { promotions, live } }: { of: Model }) {
  return (
    <section class="card" aria-labelledby="history">
      <h2 id="history">Releases</h2>
      {promotions.length === 0 ? (
        <Empty title={live ? "Live from the beginning" : "Never live"} />
      ) : (
        <ol class="promotions">
          {promotions.map((one) => (
            <li key={one.at}>
              <p>
                {one.forced && <strong class="warn">Checks overridden. </strong>}
                {thresholdText(one) && <strong>{thresholdText(one)} </strong>}
                {plainly(one.reason)}
              </p>
              <p class="hint">
                <time dateTime={one.at}>{dateTime(one.at)}</time>, by <By whom={one.by} />
                {one.previous && !thresholdText(one) && (
                  <>
                    , replacing <VersionName of={one.previous} />
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
  const [confirming, setConfirming] = useState(false);
  const gate = gateOf(model.gate);
  const back = model.source === "baseline" || model.promotions.length > 0;
  // The live model is compared with the one before it, any other with the live one.
  const before = model.promotions.find((one) => !thresholdText(one))?.previous;
  const other = model.live ? before : live;
  return (
    <>
      <div class="row">
        <Name of={model} onChanged={onChanged} />
        <Star of={model} onChanged={onChanged} />
      </div>
      <div class="row version-actions">
        {model.live ? <LiveTag /> : null}
        <a href={`/data?show=model&version=${model.version}`}>Curves and mistakes</a>
        {!model.live && (
          <a href={`/models?show=versions&compare=${live},${model.version}`}>
            Compare with live model
          </a>
        )}
        {admin.value && !model.live && (
          <button type="button" class="small" onClick={() => setConfirming(true)}>
            {back ? "Roll back to this version" : "Make live"}
          </button>
        )}
      </div>
      <div class="columns">
        <div>
          <Measured of={model} />
          {other && <Try before={other} after={model.version} />}
        </div>
        <div>
          <Details of={model} />
          <History of={model} />
        </div>
      </div>
      <section class="card" aria-labelledby="gate">
        <h2 id="gate">Quality checks</h2>
        {gate ? (
          <GateVerdict of={gate} />
        ) : (
          <Empty title="No checks on record">
            <p>
              {model.source === "baseline"
                ? "This is the built-in model: the first trained version is compared with it."
                : "This version was trained elsewhere, or its run is too long ago."}
            </p>
          </Empty>
        )}
      </section>
      {confirming && (
        <PromoteDialog
          version={model.version}
          live={live}
          back={back}
          onClose={() => setConfirming(false)}
          onDone={() => {
            setConfirming(false);
            onChanged();
            // After the dialog has closed: elements behind it cannot take the focus.
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
    <Shown of={loaded} label="Loading the version">
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
      <Private reason="Sign in to see this version.">{() => <Loaded version={version} />}</Private>
    </div>
  );
}
