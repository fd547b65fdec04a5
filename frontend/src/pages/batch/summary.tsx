/** A batch in two charts: how many files have each verdict, and the spread of probabilities. */
import { type Colour, Plot } from "../../charts/plot";
import { count, percent, plural } from "../../format";
import { band, bandText } from "../../store/model";
import type { Row } from "./csv";
import { BINS, countsText, histogram, tally, VERDICTS, type Verdict, verdictsByBin } from "./view";

export const LABELS: Record<Verdict, string> = {
  clickbait: "Clickbait",
  legitimate: "Legitimate",
  uncertain: "Uncertain",
  failed: "Failed",
};

export const TONES: Record<Verdict, string> = {
  clickbait: "bait",
  legitimate: "real",
  uncertain: "unsure",
  failed: "failed",
};

function Counts({ rows }: { rows: readonly Row[] }) {
  const counts = tally(rows);
  return (
    <dl class="counts">
      {VERDICTS.map((each) => (
        <div key={each} class={TONES[each]}>
          <dt>{LABELS[each]}</dt>
          <dd>
            <span class="counts-bar">
              <span style={{ width: `${(100 * counts[each]) / rows.length}%` }} />
            </span>
            <strong>{count(counts[each])}</strong>
            <small>{percent(counts[each] / rows.length)}</small>
          </dd>
        </div>
      ))}
    </dl>
  );
}

const CENTRES = Array.from({ length: BINS }, (_, bin) => (bin + 0.5) / BINS);

const KINDS: readonly { verdict: Verdict; colour: Colour }[] = [
  { verdict: "legitimate", colour: "real" },
  { verdict: "uncertain", colour: "unsure" },
  { verdict: "clickbait", colour: "bait" },
];

const whole = (value: number) => (Number.isInteger(value) ? count(value) : "");

function Histogram({ rows }: { rows: readonly Row[] }) {
  const bins = histogram(rows);
  const verdicts = verdictsByBin(rows);
  const step = (bin: number) => `${percent(bin / BINS)} to ${percent((bin + 1) / BINS)}`;
  const most = bins.indexOf(Math.max(...bins));
  return (
    <>
      <Plot
        label={`Files by probability of clickbait, in ${BINS} steps. The largest group, ${plural(bins[most] ?? 0, "file")}, has ${step(most)}.`}
        x={CENTRES}
        series={KINDS.map(({ verdict, colour }) => ({
          label: LABELS[verdict],
          colour,
          kind: "bars",
          values: bins.map((value, bin) => (verdicts[bin] === verdict ? value : null)),
        }))}
        xRange={[0, 1]}
        xFormat={(value) => percent(value)}
        yFormat={whole}
        xLabel="Probability of clickbait"
        height={210}
      />
      <p class="hint">The model is uncertain {bandText(band.value)}. Review these by hand.</p>
    </>
  );
}

export function Summary({ rows }: { rows: readonly Row[] }) {
  const counts = tally(rows);
  return (
    <section class="summary" aria-labelledby="summary">
      <h2 id="summary">Summary</h2>
      <div class="columns">
        <div class="card verdicts">
          <h3>Verdicts</h3>
          <p class="hint">
            {plural(rows.length, "file")}: {countsText(counts)}.
          </p>
          <Counts rows={rows} />
        </div>
        <div class="card">
          <h3>Probabilities</h3>
          {counts.failed < rows.length ? (
            <Histogram rows={rows} />
          ) : (
            <p class="hint">Every file failed, so none has a probability.</p>
          )}
        </div>
      </div>
    </section>
  );
}
