/** Whether the last day's images still resemble the training images. */
import type { Schemas } from "../../api/client";
import { count, decimal } from "../../format";
import { LEVELS, onTrack } from "./series";

type Figures = Schemas["Drift"];

const NAMES: Record<keyof Figures["features"], string> = {
  brightness: "Brightness",
  contrast: "Contrast",
  saturation: "Saturation",
  score: "The model’s probability",
};

export function Drift({
  of: { features, thresholds, hours, model_version: version },
}: {
  of: Figures;
}) {
  return (
    <section aria-labelledby="drift">
      <h2 id="drift">Drift</h2>
      <p class="hint">
        The images of the last {hours} hours compared with the training images of{" "}
        {version ? <a href={`/models/versions/${version}`}>{version}</a> : "the live version"}. An
        index below {thresholds.moderate} means no change; from {thresholds.moderate}, some change;
        from {thresholds.large}, a clear change: accuracy may be lower than measured.
      </p>
      <ul class="drift">
        {(Object.keys(NAMES) as (keyof Figures["features"])[]).map((name) => (
          <Feature key={name} name={NAMES[name]} of={features[name]} at={thresholds} />
        ))}
      </ul>
    </section>
  );
}

function Feature({
  name,
  of: { psi, level, sample, reason },
  at: { moderate, large },
}: {
  name: string;
  of: Schemas["FeatureDrift"];
  at: Figures["thresholds"];
}) {
  const place = (value: number) => `${100 * onTrack(value, large)}%`;
  const text = level && LEVELS[level];
  return (
    <li class="card">
      <strong>{name}</strong>
      {psi !== null && text ? (
        <>
          <span class={`tag ${text.tone}`}>
            {decimal(psi)}, {text.name}
          </span>
          <div class="drift-track" aria-hidden="true">
            <div class={`drift-fill ${text.tone}`} style={{ width: place(psi) }} />
            <i style={{ left: place(moderate) }} />
            <i style={{ left: place(large) }} />
          </div>
          <small>from {count(sample)} predictions</small>
        </>
      ) : (
        <>
          <span class="tag unsure">unknown</span>
          <small>{reason}</small>
        </>
      )}
    </li>
  );
}
