/** The results of another threshold on the test images; it changes nothing in the service. */
import { useId, useState } from "preact/hooks";
import type { Schemas } from "../../api/client";
import { Plot } from "../../charts/plot";
import { count, decimal, percent, plural } from "../../format";
import { ConfusionMatrix, type Counts } from "../../ui/confusion-matrix";
import { Figure, Figures } from "../../ui/figure";
import { atThreshold } from "./curves";

const UNIT = [0, 1] as const;

export function Threshold({ of }: { of: Schemas["Evaluation"] }) {
  const [at, setAt] = useState(of.threshold);
  const id = useId();
  const found = atThreshold(of, at);
  if (!found) return null;
  const { row, counts } = found;
  const { low, high } = of.uncertain_band;
  const summary = `precision ${percent(row.precision)}, recall ${percent(row.recall)}`;
  return (
    <section aria-labelledby="threshold">
      <h2 id="threshold">Try another threshold</h2>
      <p class="hint">
        The service calls an image clickbait at a probability of {decimal(of.threshold, 2)} or more,
        and uncertain between {decimal(low, 2)} and {decimal(high, 2)}. Move the slider to see the
        results of another threshold on these {plural(of.images, "image")}. The service does not
        change.
      </p>
      <div class="card">
        <div class="columns">
          <div>
            <p class="row apart threshold-name">
              <label for={id}>
                Call it clickbait at <output for={id}>{decimal(at, 2)}</output> or more
              </label>
              <button
                type="button"
                class="link"
                disabled={at === of.threshold}
                onClick={() => setAt(of.threshold)}
              >
                Back to {decimal(of.threshold, 2)}
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
                { x: of.threshold, colour: "muted", dashed: true },
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
          </div>
        </div>
      </div>
    </section>
  );
}

function summaryOf([[, wrong], [missed, hit]]: Counts): string {
  if (hit + wrong === 0) return "No image would be called clickbait.";
  return (
    `${plural(hit + wrong, "image")} would be called clickbait, ${count(wrong)} of them wrongly; ` +
    `${count(missed)} would be missed.`
  );
}
