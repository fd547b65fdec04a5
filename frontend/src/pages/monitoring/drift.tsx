/** Whether the images of the last day still look like those that the model learned from. */
import type { Schemas } from "../../api/client";
import { count, decimal } from "../../format";
import { LEVELS, onTrack } from "./series";

type Told = Schemas["Drift"];

const NAMES: Record<keyof Told["features"], string> = {
  brightness: "Brightness",
  contrast: "Contrast",
  saturation: "Saturation",
  score: "The model’s probability",
};

export function Drift({
  of: { features, thresholds, hours, model_version: version },
}: {
  of: Told;
}) {
  return (
    <section aria-labelledby="drift">
      <h2 id="drift">Drift</h2>
      <p class="hint">
        The last {hours} hours’ images against those that{" "}
        {version ? <a href={`/models/versions/${version}`}>{version}</a> : "the live version"}{" "}
        learned from, whatever the window above. An index below {thresholds.moderate} is no change;
        from {thresholds.moderate} on it is worth a look; from {thresholds.large} on these are other
        images than it knows, and its answers may be right less often than was measured.
      </p>
      <ul class="drift">
        {(Object.keys(NAMES) as (keyof Told["features"])[]).map((name) => (
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
  at: Told["thresholds"];
}) {
  const place = (value: number) => `${100 * onTrack(value, large)}%`;
  const said = level && LEVELS[level];
  return (
    <li class="card">
      <strong>{name}</strong>
      {psi !== null && said ? (
        <>
          <span class={`tag ${said.tone}`}>
            {decimal(psi)}, {said.name}
          </span>
          <div class="drift-track" aria-hidden="true">
            <div class={`drift-fill ${said.tone}`} style={{ width: place(psi) }} />
            <i style={{ left: place(moderate) }} />
            <i style={{ left: place(large) }} />
          </div>
          <small>by {count(sample)} predictions</small>
        </>
      ) : (
        <>
          <span class="tag unsure">not known</span>
          <small>{reason}</small>
        </>
      )}
    </li>
  );
}
