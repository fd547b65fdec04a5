/** How well the model ranks images, and whether its probabilities are right. */
import type { Schemas } from "../../api/client";
import { Plot } from "../../charts/plot";
import { count, decimal, percent } from "../../format";
import { Scroll } from "../../ui/scroll";
import { ends, type Interval } from "../models/metrics";
import { reliabilitySeries, rocSeries } from "./curves";

type Evaluation = Schemas["Evaluation"];

const UNIT = [0, 1] as const;
const share = (value: number) => percent(value, 0);

export function Roc({ of, auc }: { of: Evaluation; auc: Interval }) {
  const { x, curve, here } = rocSeries(of);
  const area = of.roc.auc ?? auc.value;
  const range = auc.low === null ? "" : ` (95% range: ${ends(decimal, auc)})`;
  const summary =
    area === null
      ? ""
      : `AUC ${decimal(area)}${range}. Given one clickbait and one legitimate image, the clickbait ` +
        `one gets the higher probability ${Math.round(100 * area)} times in 100.`;
  return (
    <section aria-labelledby="roc">
      <h2 id="roc">ROC curve</h2>
      {area === null || of.roc.points.length === 0 ? (
        <p class="hint">No curve: {of.roc.reason ?? "not measured"}.</p>
      ) : (
        <>
          <Plot
            label={`Receiver operating characteristic. ${summary}`}
            x={x}
            xRange={UNIT}
            yRange={UNIT}
            xLabel="Legitimate images called clickbait"
            xFormat={share}
            yFormat={share}
            height={300}
            series={[
              { label: "Clickbait found", values: curve, colour: "accent", filled: true },
              { label: "Guessing", values: x, colour: "muted", dashed: true },
              { label: `At ${of.threshold}`, values: here, colour: "bait", kind: "points" },
            ]}
          />
          <p class="hint">{summary}</p>
        </>
      )}
    </section>
  );
}

export function Reliability({ of, error }: { of: Evaluation; error: unknown }) {
  const { x, measured } = reliabilitySeries(of.reliability);
  const { after, perfect_at_this_n: perfect } = (error ?? {}) as Record<string, number | undefined>;
  const sizes = of.reliability.map((bin) => bin.images).filter((images) => images > 0);
  const summary =
    (after === undefined ? "" : `Calibration error ${decimal(after)}`) +
    (after === undefined || perfect === undefined
      ? ""
      : `; by chance, a perfectly calibrated model scores ${decimal(perfect)} on this many images`);
  return (
    <section aria-labelledby="reliability">
      <h2 id="reliability">Calibration</h2>
      {sizes.length === 0 ? (
        <p class="hint">No test images.</p>
      ) : (
        <>
          <Plot
            label={`True share of clickbait against the predicted probability. ${summary}`}
            x={x}
            xRange={UNIT}
            yRange={UNIT}
            xLabel="Predicted probability"
            xFormat={share}
            yFormat={share}
            height={300}
            series={[
              { label: "Actual clickbait", values: measured, colour: "accent", kind: "dotted" },
              { label: "Perfect calibration", values: x, colour: "muted", dashed: true },
            ]}
          />
          <p class="hint">
            {summary && `${summary}. `}
            Above the dashed line the model predicts too low, below it too high. Each point stands
            for {count(Math.min(...sizes))} to {count(Math.max(...sizes))} images; points of few
            images vary by chance.
          </p>
          <details>
            <summary>Show as table</summary>
            <Scroll label="Table of calibration">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Probability</th>
                    <th scope="col" class="number">
                      Images
                    </th>
                    <th scope="col" class="number">
                      Average prediction
                    </th>
                    <th scope="col" class="number">
                      Actual clickbait
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {of.reliability.map((bin) => (
                    <tr key={bin.low}>
                      <th scope="row">
                        {share(bin.low)} to {share(bin.high)}
                      </th>
                      <td class="number">{count(bin.images)}</td>
                      <td class="number">{percent(bin.mean_probability, 0)}</td>
                      <td class="number">{percent(bin.share_clickbait, 0)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          </details>
        </>
      )}
    </section>
  );
}
