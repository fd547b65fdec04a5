/** How well the model ranks images, and whether its probabilities hold. */
import type { Schemas } from "../../api/client";
import { Plot } from "../../charts/plot";
import { count, decimal, percent } from "../../format";
import { Scroll } from "../../ui/scroll";
import { type Interval, reliabilitySeries, rocSeries } from "./curves";

type Evaluation = Schemas["Evaluation"];

const UNIT = [0, 1] as const;
const share = (value: number) => percent(value, 0);

export function Roc({ of, auc }: { of: Evaluation; auc: Interval | null }) {
  const { x, curve, here } = rocSeries(of);
  const area = of.roc.auc ?? auc?.value ?? null;
  const range =
    auc && auc.low !== null && auc.high !== null
      ? ` (95 %: ${decimal(auc.low)} to ${decimal(auc.high)})`
      : "";
  const said =
    area === null
      ? ""
      : `AUC ${decimal(area)}${range}: of one clickbait and one legitimate image, the clickbait one ` +
        `gets the higher probability ${Math.round(100 * area)} times in 100.`;
  return (
    <section aria-labelledby="roc">
      <h2 id="roc">How well it tells them apart</h2>
      {area === null || of.roc.points.length === 0 ? (
        <p class="hint">There is no curve: {of.roc.reason ?? "it was not measured"}.</p>
      ) : (
        <>
          <Plot
            label={`Receiver operating characteristic. ${said}`}
            x={x}
            xRange={UNIT}
            yRange={UNIT}
            xLabel="Legitimate images called clickbait"
            xFormat={share}
            yFormat={share}
            height={300}
            series={[
              { label: "Clickbait found", values: curve, colour: "accent", filled: true },
              { label: "A guess", values: x, colour: "muted", dashed: true },
              { label: `At ${of.threshold}`, values: here, colour: "bait", kind: "points" },
            ]}
          />
          <p class="hint">{said}</p>
        </>
      )}
    </section>
  );
}

export function Reliability({ of, error }: { of: Evaluation; error: unknown }) {
  const { x, measured } = reliabilitySeries(of.reliability);
  const { after, perfect_at_this_n: perfect } = (error ?? {}) as Record<string, number | undefined>;
  const sizes = of.reliability.map((bin) => bin.images).filter((images) => images > 0);
  const said =
    (after === undefined ? "" : `Calibration error ${decimal(after)}`) +
    (after === undefined || perfect === undefined
      ? ""
      : `; a perfectly calibrated model shows ${decimal(perfect)} on so many images, by chance`);
  return (
    <section aria-labelledby="reliability">
      <h2 id="reliability">Is 80 % really 80 %?</h2>
      {sizes.length === 0 ? (
        <p class="hint">There are no test images to tell by.</p>
      ) : (
        <>
          <Plot
            label={`Share of clickbait against the probability that the model gives. ${said}`}
            x={x}
            xRange={UNIT}
            yRange={UNIT}
            xLabel="Probability that the model gives"
            xFormat={share}
            yFormat={share}
            height={300}
            series={[
              { label: "Really clickbait", values: measured, colour: "accent", kind: "dotted" },
              { label: "If it held exactly", values: x, colour: "muted", dashed: true },
            ]}
          />
          <p class="hint">
            {said && `${said}. `}
            Above the dashed line it says too little, below it too much. A point stands for{" "}
            {count(Math.min(...sizes))} to {count(Math.max(...sizes))} images: those of few stray by
            chance.
          </p>
          <details>
            <summary>The points as a table</summary>
            <Scroll label="Reliability as a table">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Probability</th>
                    <th scope="col" class="number">
                      Images
                    </th>
                    <th scope="col" class="number">
                      It says, on average
                    </th>
                    <th scope="col" class="number">
                      Really clickbait
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
