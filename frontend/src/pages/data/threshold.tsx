/** What another threshold would make of the test images: something to try, which changes nothing. */
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
  const said = `precision ${percent(row.precision)}, recall ${percent(row.recall)}`;
  return (
    <section aria-labelledby="threshold">
      <h2 id="threshold">If another threshold decided</h2>
      <p class="hint">
        The service calls clickbait what has a probability of {decimal(of.threshold, 2)} or more,
        and uncertain what lies between {decimal(low, 2)} and {decimal(high, 2)}. Move the slider to
        see what another threshold would do to these {plural(of.images, "image")}: it changes
        nothing in the service.
      </p>
      <div class="card">
        <div class="columns">
          <div>
            <p class="row apart threshold-name">
              <label for={id}>
                Clickbait from <output for={id}>{decimal(at, 2)}</output> on
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
              aria-valuetext={`${decimal(at, 2)}: ${said}`}
              onInput={(event) => setAt(event.currentTarget.valueAsNumber)}
            />
            <Plot
              label={`Precision and recall by threshold; at ${decimal(at, 2)}: ${said}`}
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
                note="of what it calls clickbait"
              />
              <Figure label="Recall" value={percent(row.recall)} note="of the clickbait" />
              <Figure label="Accuracy" value={percent(row.accuracy)} note="called right" />
              <Figure label="Called clickbait" value={percent(row.called)} note="of all images" />
            </Figures>
            {counts && (
              <>
                <ConfusionMatrix of={counts} />
                <p class="hint">{inWords(counts)}</p>
              </>
            )}
          </div>
        </div>
      </div>
    </section>
  );
}

function inWords([[, wrong], [missed, hit]]: Counts): string {
  if (hit + wrong === 0) return "It would call nothing clickbait.";
  return (
    `It would call ${plural(hit + wrong, "image")} clickbait, ${count(wrong)} of them wrongly, ` +
    `and miss ${count(missed)}.`
  );
}
