/** Learning curves, epoch by epoch, while the training runs. */
import { useState } from "preact/hooks";
import { Plot, type Series } from "../../charts/plot";
import { decimal, percent } from "../../format";
import { Empty } from "../../ui/state";
import { bestOf, type Epoch } from "./progress";

type Curve = Pick<Series, "label" | "colour" | "dashed"> & { of: keyof Epoch };

const LOSS: readonly Curve[] = [
  { of: "loss", label: "training", colour: "muted", dashed: true },
  { of: "val_loss", label: "validation", colour: "accent" },
];
const RIGHT: readonly Curve[] = [
  { of: "accuracy", label: "training accuracy", colour: "muted", dashed: true },
  { of: "val_accuracy", label: "validation accuracy", colour: "real" },
  { of: "val_auc", label: "validation AUC", colour: "accent" },
];

/** The start of the scale of shares: just below the lowest curve, so that differences show. */
function floorOf(epochs: readonly Epoch[]): number {
  const values = epochs.flatMap((one) => RIGHT.map(({ of }) => one[of] ?? 1));
  return Math.max(0, Math.floor(10 * Math.min(...values) - 0.5) / 10);
}

function Chart({
  title,
  curves,
  epochs,
  planned,
  best,
  yRange,
}: {
  title: string;
  curves: readonly Curve[];
  epochs: readonly Epoch[];
  planned: number;
  best: number;
  yRange?: readonly [number, number];
}) {
  const series = curves
    .map(({ of, ...rest }) => ({ ...rest, values: epochs.map((one) => one[of]) }))
    .filter(({ values }) => values.some((value) => value !== null))
    .map((one): Series => ({ ...one, kind: "dotted" }));
  const text = series
    .map(
      ({ label, values }) => `${label} ${decimal(values[0])} first, ${decimal(values.at(-1))} last`,
    )
    .join("; ");
  return (
    <div class="chart">
      <h3>{title}</h3>
      <Plot
        label={`${title} by epoch: ${text}`}
        x={epochs.map((one) => one.epoch)}
        series={series}
        marks={[{ x: best, colour: "good", dashed: true }]}
        xRange={[1, Math.max(2, planned)]}
        {...(yRange ? { yRange } : {})}
        xLabel="Epoch"
        xFormat={(value) => (Number.isInteger(value) ? String(value) : "")}
        yFormat={(value) => value.toFixed(2)}
        height={240}
      />
    </div>
  );
}

export function Curves({
  of,
  planned,
  over,
}: {
  of: readonly Epoch[];
  planned: number;
  /** The training has ended. */
  over: boolean;
}) {
  const members = [...new Set(of.map((one) => one.member))];
  const [chosen, setChosen] = useState<number | null>(null);
  const member = chosen ?? members.at(-1);
  const epochs = of.filter((one) => one.member === member);
  const best = bestOf(epochs);
  if (!best) {
    return (
      <Empty title="No epoch yet">
        <p>The curves appear after the first epoch and update by themselves.</p>
      </Empty>
    );
  }
  return (
    <>
      {members.length > 1 && (
        <fieldset class="tabs" aria-label="Network">
          {members.map((one) => (
            <button
              key={one}
              type="button"
              aria-pressed={one === member}
              onClick={() => setChosen(one)}
            >
              Network {one}
            </button>
          ))}
        </fieldset>
      )}
      <p class="hint">
        {over ? "Best" : "Best so far"}: epoch {best.epoch}
        {best.val_auc !== null &&
          `, validation AUC ${decimal(best.val_auc)}, accuracy ${percent(best.val_accuracy)}`}
        . The dashed line marks it. A training from scratch keeps that epoch, and a fine-tuning the
        last one.
      </p>
      <div class="pair">
        <Chart title="Loss" curves={LOSS} epochs={epochs} planned={planned} best={best.epoch} />
        <Chart
          title="Accuracy and AUC"
          curves={RIGHT}
          epochs={epochs}
          planned={planned}
          best={best.epoch}
          yRange={[floorOf(epochs), 1]}
        />
      </div>
    </>
  );
}
