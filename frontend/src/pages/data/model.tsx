/** What a version did on images that it never saw: figures, curves, and where it fails. */

import { useEffect, useId } from "preact/hooks";
import { useLocation } from "preact-iso";
import { api, ask, type Schemas } from "../../api/client";
import { Problem } from "../../api/problem";
import { useLoad } from "../../api/use-load";
import { count, dateTime, decimal, percent, plural } from "../../format";
import { status } from "../../store/health";
import { announce } from "../../ui/announce";
import { ConfusionMatrix, countsOf } from "../../ui/confusion-matrix";
import { Figure, Figures } from "../../ui/figure";
import { Empty, Shown } from "../../ui/state";
import { type Interval, interval } from "./curves";
import { Effects } from "./effects";
import { Mistakes } from "./mistakes";
import { Reliability, Roc } from "./quality";
import { Threshold } from "./threshold";

type Evaluation = Schemas["Evaluation"];
type Metrics = Schemas["Model"]["metrics"];

/** Versions that can be chosen from: the newest. */
const CHOICE = 50;

export function Model() {
  const { query } = useLocation();
  const versions = useLoad(
    (signal) => ask(api().GET("/models", { params: { query: { limit: CHOICE } }, signal })),
    [],
  );
  const items = versions.value?.items ?? [];
  const live = status.value?.model_version ?? items.find((one) => one.live)?.version;
  const version = query.version ?? live;
  if (!version) {
    return (
      <Shown of={versions} label="Asking which model is live">
        {() => <Empty title="No model is live" />}
      </Shown>
    );
  }
  return (
    <>
      <Choice version={version} live={live} items={items} />
      <Version key={version} version={version} />
    </>
  );
}

function Choice({
  version,
  live,
  items,
}: {
  version: string;
  live: string | undefined;
  items: Schemas["ModelSummary"][];
}) {
  const { route } = useLocation();
  const id = useId();
  const names = items.map((one) => one.version);
  const made = new Map(items.map((one) => [one.version, one.training_date]));
  return (
    <div class="choice">
      <label for={id}>Version</label>
      <select
        id={id}
        value={version}
        onChange={({ currentTarget: { value } }) =>
          route(value === live ? "/data?show=model" : `/data?show=model&version=${value}`)
        }
      >
        {(names.includes(version) ? names : [version, ...names]).map((name) => (
          <option key={name} value={name}>
            {name}
            {name === live ? ", live" : ""}
            {made.get(name) ? `, made ${dateTime(made.get(name))}` : ""}
          </option>
        ))}
      </select>
      <a href={`/models/versions/${version}`}>How it was made</a>
    </div>
  );
}

/** An evaluation, or the service's words where a version has none: that is no failure. */
async function evaluationOf(version: string, signal: AbortSignal): Promise<Evaluation | string> {
  try {
    return await ask(
      api().GET("/models/{version}/evaluation", { params: { path: { version } }, signal }),
    );
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return error.detail;
    throw error;
  }
}

function Version({ version }: { version: string }) {
  const model = useLoad(
    (signal) => ask(api().GET("/models/{version}", { params: { path: { version } }, signal })),
    [version],
  );
  const evaluation = useLoad((signal) => evaluationOf(version, signal), [version]);
  const accuracy = interval(model.value?.metrics.accuracy);
  useEffect(() => {
    if (accuracy) announce(`Version ${version} is right ${percent(accuracy.value)} of the time`);
  }, [accuracy?.value]);
  return (
    <>
      <Shown of={model} label="Fetching what was measured">
        {({ metrics }) => <Measured of={metrics} />}
      </Shown>
      {/* A version that is not there says so once. */}
      {!model.problem && (
        <Shown of={evaluation} label="Fetching its curves">
          {(told) =>
            typeof told === "string" ? (
              <Empty title="No curves of this version">
                <p>{told}</p>
              </Empty>
            ) : (
              <Curves of={told} metrics={model.value?.metrics ?? {}} />
            )
          }
        </Shown>
      )}
    </>
  );
}

const bounds = ({ low, high }: Interval, shown: (value: number) => string): string =>
  low === null || high === null ? "" : `${shown(low)} to ${shown(high)}`;

function Measured({ of: metrics }: { of: Metrics }) {
  const shares = [
    { name: "accuracy", label: "Accuracy", note: "of the images are called right" },
    { name: "precision", label: "Precision", note: "of what it calls clickbait is clickbait" },
    { name: "recall", label: "Recall", note: "of the clickbait is found" },
  ].map((one) => ({ ...one, told: interval(metrics[one.name]) }));
  const auc = interval(metrics.auc);
  const { after, perfect_at_this_n: perfect } = (metrics.expected_calibration_error ??
    {}) as Record<string, number | undefined>;
  const unsure = (metrics.uncertain ?? {}) as Record<string, number | undefined>;
  const { images, groups } = metrics as Record<string, number | undefined>;
  return (
    <>
      <Figures>
        {shares.map(({ name, label, note, told }) => (
          <Figure
            key={name}
            label={label}
            value={percent(told?.value)}
            note={
              <>
                {note}
                <br />
                {told && bounds(told, (value) => percent(value, 0))}
              </>
            }
          />
        ))}
        <Figure
          label="AUC"
          value={decimal(auc?.value)}
          note={
            <>
              1 is perfect, 0.5 a guess
              <br />
              {auc && bounds(auc, decimal)}
            </>
          }
        />
        <Figure
          label="Calibration error"
          value={decimal(after)}
          note={perfect === undefined ? undefined : `a perfect model shows ${decimal(perfect)}`}
        />
        <Figure
          label="Uncertain"
          value={percent(unsure.share)}
          note={
            unsure.share === undefined
              ? undefined
              : `right ${percent(unsure.accuracy_inside)} of the time there, ${percent(unsure.accuracy_outside)} elsewhere`
          }
        />
      </Figures>
      {images !== undefined && (
        <p class="hint measured">
          Measured when it was made, on {plural(images, "image")}
          {groups ? ` of ${plural(groups, "channel style")}` : ""} that it has never learned from.
          The ranges are where the figure lies 95 times in 100 (
          {String(metrics.intervals ?? "bootstrap").replace(/^95 % /, "")}).
        </p>
      )}
    </>
  );
}

function Curves({ of, metrics }: { of: Evaluation; metrics: Metrics }) {
  const counts = countsOf(of.confusion_matrix);
  const [[, wrong], [missed]] = counts;
  return (
    <>
      <div class="columns">
        <div>
          <section aria-labelledby="confusion">
            <h2 id="confusion">Right and wrong</h2>
            <ConfusionMatrix of={counts} />
            <p class="hint">
              {plural(wrong, "legitimate image was", "legitimate images were")} called clickbait,
              and {count(missed)} of {count(counts[1][0] + counts[1][1])} clickbait{" "}
              {missed === 1 ? "image was" : "images were"} missed.
            </p>
          </section>
          <Effects of={of.features} images={of.images} />
        </div>
        <div>
          <Roc of={of} auc={interval(metrics.auc)} />
          <Reliability of={of} error={metrics.expected_calibration_error} />
        </div>
      </div>
      <Threshold of={of} />
      <Mistakes of={of} />
    </>
  );
}
