/** The features of an image that correlate with the verdict: a hint at what drives the model. */
import type { Schemas } from "../../api/client";
import { count } from "../../format";
import { effect, FEATURES, signed } from "./descriptions";

/** Correlation that fills half the track: weak ones must look weak. */
const FULL = 0.5;

export function Effects({ of, images }: { of: Schemas["FeatureEffect"][]; images: number }) {
  const full = Math.max(
    FULL,
    ...of.flatMap((one) => [one.with_probability, one.with_label]).map((rho) => Math.abs(rho ?? 0)),
  );
  return (
    <section aria-labelledby="effects">
      <h2 id="effects">What drives the verdict</h2>
      <p class="hint">
        Spearman’s rank correlation over {count(images)} images. Thick bar: model; thin bar: labels.
        Bars to the right mean: the higher the feature, the more clickbait.
      </p>
      <ul class="effects">
        {of.map((one) => (
          <li key={one.name}>
            <strong>{FEATURES[one.name].title}</strong>
            <span class="effect-values">
              <span>verdict {signed(one.with_probability)}</span>
              <span>labels {signed(one.with_label)}</span>
            </span>
            <div class="effect-track" aria-hidden="true">
              <Bar rho={one.with_probability} full={full} kind="verdict" />
              <Bar rho={one.with_label} full={full} kind="label" />
            </div>
            <small>{effect(one)}</small>
          </li>
        ))}
      </ul>
      <p class="hint">Correlation is not cause: bright images may share something else.</p>
    </section>
  );
}

function Bar({ rho, full, kind }: { rho: number | null; full: number; kind: "verdict" | "label" }) {
  if (rho === null) return null;
  const half = (50 * Math.abs(rho)) / full;
  return (
    <div
      class={`effect-bar ${kind} ${rho < 0 ? "real" : "bait"}`}
      style={{ left: `${rho < 0 ? 50 - half : 50}%`, width: `${half}%` }}
    />
  );
}
