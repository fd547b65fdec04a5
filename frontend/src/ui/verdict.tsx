/** A verdict for people: the word, the probability, and the band in which the model is uncertain. */
import { percent } from "../format";
import { band } from "../store/model";

export interface Judged {
  prediction: string;
  probability: number;
  uncertain: boolean;
}

export type Tone = "bait" | "real" | "unsure";

export const toneOf = ({
  prediction,
  uncertain,
}: Pick<Judged, "prediction" | "uncertain">): Tone =>
  uncertain ? "unsure" : prediction === "clickbait_fake" ? "bait" : "real";

export function verdictOf({
  prediction,
  uncertain,
}: Pick<Judged, "prediction" | "uncertain">): string {
  const bait = prediction === "clickbait_fake";
  if (uncertain) return bait ? "Unsure, leaning clickbait" : "Unsure, leaning legitimate";
  return bait ? "Clickbait" : "Legitimate";
}

/** The verdict in a word, for tables that show the probability too. */
export const Tag = ({ of }: { of: Pick<Judged, "prediction" | "uncertain"> }) => (
  <span class={`tag ${toneOf(of)}`}>{of.uncertain ? "Uncertain" : verdictOf(of)}</span>
);

/** The calibrated probability between legitimate and clickbait, with the uncertain band marked. */
export function ProbabilityBar({ of }: { of: Judged }) {
  const { low, high } = band.value;
  const probability = percent(of.probability);
  return (
    <figure class="bar">
      <div
        class="bar-track"
        role="img"
        aria-label={`Probability of clickbait ${probability}; uncertain between ${percent(low)} and ${percent(high)}`}
      >
        <div class="bar-band" style={{ left: `${100 * low}%`, width: `${100 * (high - low)}%` }} />
        <div class={`bar-fill ${toneOf(of)}`} style={{ width: `${100 * of.probability}%` }} />
        <div class="bar-mark" style={{ left: `${100 * of.probability}%` }} />
      </div>
      <figcaption>
        <span>Legitimate</span>
        <span class="bar-unsure">uncertain</span>
        <span>Clickbait</span>
      </figcaption>
    </figure>
  );
}
