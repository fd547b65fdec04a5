/** The live model: since when, by whom and why, with a button to roll back. */
import { useState } from "preact/hooks";
import type { Schemas } from "../../api/client";
import { admin } from "../../api/session";
import type { Loaded } from "../../api/use-load";
import { count, dateTime, percent, since } from "../../format";
import { status, trouble } from "../../store/health";
import { Figure, Figures } from "../../ui/figure";
import { Failure } from "../../ui/state";
import { Trouble } from "../../ui/trouble";
import { ends, interval, MEASURES } from "./metrics";
import { By, plainly, VersionName } from "./names";
import { PromoteDialog } from "./promote";

type Promotions = Schemas["Promotions"];
type Model = Schemas["Model"];

const SHOWN = ["accuracy", "auc", "expected_calibration_error"];

function KeyFigures({ of }: { of: Model }) {
  return (
    <Figures>
      {MEASURES.filter(({ name }) => SHOWN.includes(name)).map(({ name, label, format, hint }) => {
        const figure = interval(of.metrics, name);
        return (
          <Figure
            key={name}
            label={label}
            value={format(figure.value)}
            note={figure.low !== null ? `95% range: ${ends(format, figure)}` : hint}
          />
        );
      })}
      <Figure
        label="Trained on"
        value={count(of.metadata.training_images as number | null)}
        note={
          of.metadata.small_update
            ? "images; tested on each in turn"
            : `images; tested on ${count(of.metadata.test_images as number | null)} others`
        }
      />
    </Figures>
  );
}

export function Live({
  history: { live },
  model,
  onChanged,
}: {
  history: Promotions;
  model: Loaded<Model | null>;
  onChanged: () => void;
}) {
  const [chosen, setChosen] = useState<string | null>(null);
  const version = live.version ?? "";
  const serving = (trouble.value && status.value?.model_version) || version;
  // Not the newest record, which may be of a new threshold.
  const previous = typeof live.previous === "string" ? live.previous : null;
  return (
    <section class="card live" aria-labelledby="live">
      <div class="row apart">
        <h2 id="live" tabIndex={-1}>
          Live model
        </h2>
        {admin.value && previous && (
          <button type="button" class="secondary small" onClick={() => setChosen(previous)}>
            Roll back
          </button>
        )}
      </div>
      <Trouble>
        <p>Make that version live again, or another one in the table below. Either repairs it.</p>
        <div class="row">
          <button type="button" class="small" onClick={() => setChosen(serving)}>
            Make live again
          </button>
        </div>
      </Trouble>
      <p class="live-name">
        <VersionName of={version} />
      </p>
      {live.at ? (
        <>
          <p class="live-why">{plainly(live.reason ?? "")}</p>
          <p class="hint">
            Live since <time dateTime={live.at}>{dateTime(live.at)}</time>, {since(live.at)}, by{" "}
            <By whom={live.by ?? ""} />
            {live.forced === true && <strong class="warn"> (checks overridden)</strong>}
            {previous && (
              <>
                . Previous model: <VersionName of={previous} />
              </>
            )}
            .
          </p>
        </>
      ) : (
        <p class="hint">
          The built-in model, live since the service was installed. Train on your own images to
          replace it with a better one.
        </p>
      )}
      {live.threshold !== null && (
        <p class="hint">
          An admin set the threshold: an image is called clickbait from {percent(live.threshold)}{" "}
          on. <a href="/data?show=model#threshold">Change it</a>
        </p>
      )}
      {model.problem && <Failure problem={model.problem} retry={model.reload} />}
      {model.value && <KeyFigures of={model.value} />}
      {chosen && (
        <PromoteDialog
          version={chosen}
          live={serving}
          back
          onClose={() => setChosen(null)}
          onDone={() => {
            setChosen(null);
            onChanged();
          }}
        />
      )}
    </section>
  );
}
