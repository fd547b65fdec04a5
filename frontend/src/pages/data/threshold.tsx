/** The results of another threshold on the test images; an admin can make the service use it. */
import { useId, useState } from "preact/hooks";
import type { Schemas } from "../../api/client";
import { admin } from "../../api/session";
import { Plot } from "../../charts/plot";
import { decimal, percent, plural } from "../../format";
import { type Band, bandText } from "../../store/model";
import { ConfusionMatrix } from "../../ui/confusion-matrix";
import { Figure, Figures } from "../../ui/figure";
import { atThreshold, summaryOf } from "./curves";
import { LEAST, MOST, ThresholdDialog } from "./threshold-dialog";

const UNIT = [0, 1] as const;

export function Threshold({
  of,
  used,
  live,
  onChanged,
  band,
}: {
  of: Schemas["Evaluation"];
  /** The one that the service uses: an admin's, or the model's own, which is `of.threshold`. */
  used: number;
  /** Whether the version is live. */
  live: boolean;
  onChanged: () => void;
  band: Band;
}) {
  const [at, setAt] = useState(used);
  // Null: the model's own. Undefined: nothing is asked.
  const [asked, setAsked] = useState<number | null>();
  const id = useId();
  const found = atThreshold(of, at);
  if (!found) return null;
  const { row, counts } = found;
  const { low, high } = band;
  const summary = `precision ${percent(row.precision)}, recall ${percent(row.recall)}`;
  return (
    <section aria-labelledby="threshold">
      <h2 id="threshold">Try another threshold</h2>
      <p class="hint">
        The service calls an image clickbait at a probability of {decimal(used, 2)} or more
        {used === of.threshold
          ? ", which is the model’s own threshold. "
          : `, as an admin decided; the model’s own threshold is ${decimal(of.threshold, 2)}. `}
        It is uncertain {bandText(band)}, whatever the threshold. Move the slider to see the results
        of another threshold on these {plural(of.images, "image")}.
      </p>
      <div class="card">
        <div class="columns">
          <div>
            <p class="row apart threshold-name">
              <label for={id}>
                Call it clickbait at <output for={id}>{decimal(at, 2)}</output> or more
              </label>
              <button type="button" class="link" disabled={at === used} onClick={() => setAt(used)}>
                Back to {decimal(used, 2)}
              </button>
            </p>
            <input
              id={id}
              class="threshold"
              type="range"
              min="0"
              max="1"
              step="0.01"
              value={at}
              aria-valuetext={`${decimal(at, 2)}: ${summary}`}
              onInput={(event) => setAt(event.currentTarget.valueAsNumber)}
            />
            <Plot
              label={`Precision and recall by threshold; at ${decimal(at, 2)}: ${summary}`}
              x={of.thresholds.map((one) => one.threshold)}
              xRange={UNIT}
              yRange={UNIT}
              xLabel="Threshold"
              xFormat={(value) => decimal(value, 2)}
              yFormat={(value) => percent(value, 0)}
              height={300}
              band={[low, high]}
              marks={[
                { x: used, colour: "muted", dashed: true },
                { x: at, colour: "accent" },
              ]}
              series={[
                {
                  label: "Precision",
                  values: of.thresholds.map((one) => one.precision),
                  colour: "bait",
                },
                { label: "Recall", values: of.thresholds.map((one) => one.recall), colour: "real" },
                {
                  label: "Called clickbait",
                  values: of.thresholds.map((one) => one.called),
                  colour: "muted",
                  dashed: true,
                },
              ]}
            />
          </div>
          <div class="outcome">
            <Figures>
              <Figure
                label="Precision"
                value={percent(row.precision)}
                note="of “clickbait” verdicts"
              />
              <Figure label="Recall" value={percent(row.recall)} note="of all clickbait" />
              <Figure label="Accuracy" value={percent(row.accuracy)} note="of verdicts are right" />
              <Figure label="Called clickbait" value={percent(row.called)} note="of all images" />
            </Figures>
            {counts && (
              <>
                <ConfusionMatrix of={counts} />
                <p class="hint">{summaryOf(counts)}</p>
              </>
            )}
            {admin.value && live && (
              <div class="row">
                <button
                  type="button"
                  class="small"
                  disabled={at === used || at < LEAST || at > MOST}
                  onClick={() => setAsked(at)}
                >
                  Use this threshold
                </button>
                {used !== of.threshold && (
                  <button type="button" class="secondary small" onClick={() => setAsked(null)}>
                    Use the model’s own
                  </button>
                )}
                {(at < LEAST || at > MOST) && (
                  <small>
                    From {decimal(LEAST, 2)} to {decimal(MOST, 2)}.
                  </small>
                )}
              </div>
            )}
          </div>
        </div>
      </div>
      {asked !== undefined && (
        <ThresholdDialog
          of={of}
          used={used}
          asked={asked}
          onClose={() => setAsked(undefined)}
          onDone={() => {
            setAsked(undefined);
            setAt(asked ?? of.threshold);
            onChanged();
          }}
        />
      )}
    </section>
  );
}
