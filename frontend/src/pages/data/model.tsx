/** The results of a version on test images: figures, curves and mistakes. */

import { useEffect } from "preact/hooks";
import { useLocation } from "preact-iso";
import { api, ask, type Schemas } from "../../api/client";
import { Problem } from "../../api/problem";
import { useLoad } from "../../api/use-load";
import { count, decimal, percent, plural } from "../../format";
import { status } from "../../store/health";
import { bandOf } from "../../store/model";
import { announce } from "../../ui/announce";
import { ConfusionMatrix, countsOf } from "../../ui/confusion-matrix";
import { Figure, Figures } from "../../ui/figure";
import { Empty, Shown } from "../../ui/state";
import { ends, interval } from "../models/metrics";
import { VersionChoice } from "../models/version-choice";
import { Effects } from "./effects";
import { Mistakes } from "./mistakes";
import { Reliability, Roc } from "./quality";
import { Threshold } from "./threshold";

type Evaluation = Schemas["Evaluation"];
type Metrics = Schemas["Model"]["metrics"];

export function Model() {
  const { query } = useLocation();
  const known = status.value?.model_version;
  const asked = useLoad(
    async (signal) =>
      known ??
      (await ask(api().GET("/promotions", { params: { query: { limit: 1 } }, signal }))).live
        .version,
    [],
  );
  const live = known ?? asked.value ?? undefined;
  const version = query.version ?? live;
  if (!version) {
    return (
      <Shown of={asked} label="Loading the live model">
        {() => <Empty title="No model is live" />}
      </Shown>
    );
  }
  return (
    <>
      <Choice version={version} live={live} />
      <Version key={version} version={version} />
    </>
  );
}

function Choice({ version, live }: { version: string; live: string | undefined }) {
  return (
    <div class="choice">
      <VersionChoice
        key={version}
        version={version}
        live={version === live}
        hrefOf={(one) =>
          one.live ? "/data?show=model" : `/data?show=model&version=${one.version}`
        }
      />
      <a href={`/models/versions/${version}`}>Training details</a>
    </div>
  );
}

/** An evaluation, or the service's explanation if a version has none, which is no failure. */
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
  const accuracy = interval(model.value?.metrics ?? {}, "accuracy").value;
  useEffect(() => {
    if (accuracy !== null) announce(`Version ${version} is ${percent(accuracy)} accurate`);
  }, [accuracy]);
  return (
    <>
      <Shown of={model} label="Loading measurements">
        {({ metrics }) => <Measured of={metrics} />}
      </Shown>
      {/* An unknown version is reported once. */}
      {!model.problem && (
        <Shown of={evaluation} label="Loading curves">
          {(loaded) =>
            typeof loaded === "string" ? (
              <Empty title="No curves for this version">
                <p>{loaded}</p>
              </Empty>
            ) : (
              <Curves of={loaded} model={model.value} onChanged={model.reload} />
            )
          }
        </Shown>
      )}
    </>
  );
}

function Measured({ of: metrics }: { of: Metrics }) {
  const shares = [
    { name: "accuracy", label: "Accuracy", note: "of verdicts are right" },
    { name: "precision", label: "Precision", note: "of “clickbait” verdicts are right" },
    { name: "recall", label: "Recall", note: "of all clickbait is found" },
  ].map((one) => ({ ...one, measured: interval(metrics, one.name) }));
  const auc = interval(metrics, "auc");
  const { after, perfect_at_this_n: perfect } = (metrics.expected_calibration_error ??
    {}) as Record<string, number | undefined>;
  const unsure = (metrics.uncertain ?? {}) as Record<string, number | undefined>;
  const { images, groups } = metrics as Record<string, number | undefined>;
  return (
    <>
      <Figures>
        {shares.map(({ name, label, note, measured }) => (
          <Figure
            key={name}
            label={label}
            value={percent(measured.value)}
            note={
              <>
                {note}
                <br />
                {measured.low !== null && ends((value) => percent(value, 0), measured)}
              </>
            }
          />
        ))}
        <Figure
          label="AUC"
          value={decimal(auc.value)}
          note={
            <>
              1 is perfect, 0.5 is guessing
              <br />
              {auc.low !== null && ends(decimal, auc)}
            </>
          }
        />
        <Figure
          label="Calibration error"
          value={decimal(after)}
          note={perfect === undefined ? undefined : `a perfect model scores ${decimal(perfect)}`}
        />
        <Figure
          label="Uncertain"
          value={percent(unsure.share)}
          note={
            unsure.share === undefined
              ? undefined
              : `of these ${percent(unsure.accuracy_inside)} are right, of others ${percent(unsure.accuracy_outside)}`
          }
        />
      </Figures>
      {images !== undefined && (
        <p class="hint measured">
          Measured after training, on {plural(images, "test image")}
          {groups ? ` of ${plural(groups, "channel style")}` : ""}. The ranges are 95% intervals (
          {String(metrics.intervals ?? "bootstrap").replace(/^95 ?% /, "")}).
        </p>
      )}
    </>
  );
}

function Curves({
  of,
  model,
  onChanged,
}: {
  of: Evaluation;
  model: Schemas["Model"] | undefined;
  onChanged: () => void;
}) {
  const metrics = model?.metrics ?? {};
  const counts = countsOf(of.confusion_matrix);
  const [[, wrong], [missed]] = counts;
  return (
    <>
      <div class="columns">
        <div>
          <section aria-labelledby="confusion">
            <h2 id="confusion">Confusion matrix</h2>
            <ConfusionMatrix of={counts} />
            <p class="hint">
              {plural(wrong, "legitimate image was", "legitimate images were")} called clickbait;{" "}
              {count(missed)} of {count(counts[1][0] + counts[1][1])} clickbait images{" "}
              {missed === 1 ? "was" : "were"} missed.
            </p>
          </section>
          <Effects of={of.features} images={of.images} />
        </div>
        <div>
          <Roc of={of} auc={interval(metrics, "auc")} />
          <Reliability of={of} error={metrics.expected_calibration_error} />
        </div>
      </div>
      {model && (
        <Threshold
          of={of}
          used={model.threshold}
          live={model.live}
          band={bandOf(model.metadata.uncertain_band ?? of.uncertain_band)}
          onChanged={onChanged}
        />
      )}
      <Mistakes of={of} />
    </>
  );
}
