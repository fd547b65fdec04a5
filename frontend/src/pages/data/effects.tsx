/** Which of an image's features go with the verdict: a hint at what the model looks at. */
import type { Schemas } from "../../api/client";
import { count } from "../../format";
import { effect, FEATURES, signed } from "./words";

/** Correlation that fills a half at least: weak ones are to look weak. */
const FULL = 0.5;

export function Effects({ of, images }: { of: Schemas["FeatureEffect"][]; images: number }) {
  const full = Math.max(
    FULL,
    ...of.flatMap((one) => [one.with_probability, one.with_label]).map((rho) => Math.abs(rho ?? 0)),
  );
  return (
    <section aria-labelledby="effects">
      <h2 id="effects">What goes with the verdict</h2>
      <p class="hint">
        Spearman’s rank correlation over {count(images)} images, thick with what the model says,
        thin with what they are. To the right: the more of it, the more clickbait.
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
      <p class="hint">
        Going together is no proof of a cause: what is bright may have something else in common.
      </p>
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
