/** The appearance of the images of each class: features compared, examples, sizes. */
import { Plot } from "../../charts/plot";
import { bytes, className, count, percent, plural } from "../../format";
import { Scroll } from "../../ui/scroll";
import { shares } from "./curves";
import {
  BAIT,
  type Classes,
  type ClassFigures,
  compared,
  FEATURES,
  type Feature,
  LABELS,
  REAL,
  TONES,
} from "./descriptions";
import { Thumb } from "./thumb";

type Maybe = number | null | undefined;

const STEPS = { kind: "steps", filled: true } as const;

export function Appearance({ of }: { of: Classes }) {
  return (
    <section aria-labelledby="appearance">
      <h2 id="appearance">Image appearance</h2>
      <p class="hint">
        The share of each class, so that classes of different size compare. If two curves are far
        apart, a model can tell the classes by this feature alone.
      </p>
      <div class="tiles pairs">
        {(Object.keys(FEATURES) as Feature[]).map((feature) => (
          <Spread key={feature} feature={feature} bait={of[BAIT]} real={of[REAL]} />
        ))}
      </div>
    </section>
  );
}

function Spread({
  feature,
  bait,
  real,
}: {
  feature: Feature;
  bait: ClassFigures;
  real: ClassFigures;
}) {
  const { title, measure, shown } = FEATURES[feature];
  const summary = compared(feature, bait[feature], real[feature]);
  const edges = bait[feature].histogram.edges;
  return (
    <article class="card">
      <h3>
        {title} <small>{measure}</small>
      </h3>
      <p class="hint">{summary}</p>
      <Plot
        label={`${title} of the images of each class. ${summary}`}
        x={edges}
        xRange={[edges[0] ?? 0, edges.at(-1) ?? 1]}
        xFormat={shown}
        xLabel={title}
        yFormat={(value) => percent(value, 0)}
        height={200}
        series={[
          { label: "Clickbait", values: shares(bait[feature]), colour: "bait", ...STEPS },
          { label: "Legitimate", values: shares(real[feature]), colour: "real", ...STEPS },
        ]}
      />
    </article>
  );
}

export function Samples({ of }: { of: Classes }) {
  return (
    <section aria-labelledby="samples">
      <h2 id="samples">Examples</h2>
      {LABELS.map((label) => {
        const { samples, images } = of[label];
        return (
          <div key={label} class="samples">
            <h3 class={`tag ${TONES[label]}`}>{className(label)}</h3>
            {samples.length > 0 ? (
              <div class="thumbs">
                {samples.map(({ key, url }) => (
                  <Thumb key={key} of={key} url={url} />
                ))}
              </div>
            ) : (
              <p class="hint">None of {plural(images, "image")} can be shown.</p>
            )}
          </div>
        );
      })}
    </section>
  );
}

export function Sizes({ of }: { of: Classes }) {
  return (
    <section aria-labelledby="sizes">
      <h2 id="sizes">Sizes and formats</h2>
      <Scroll label="Table of sizes and formats">
        <table class="flat">
          <thead>
            <tr>
              <th scope="col">Class</th>
              <th scope="col">Formats</th>
              <th scope="col">Pixels</th>
              <th scope="col">File size</th>
            </tr>
          </thead>
          <tbody>
            {LABELS.map((label) => {
              const { width, height, bytes: size, formats } = of[label];
              return (
                <tr key={label}>
                  <th scope="row">{className(label)}</th>
                  <td>
                    {Object.entries(formats)
                      .sort(([, a], [, b]) => b - a)
                      .map(([name, n]) => `${name} ${count(n)}`)
                      .join(", ") || "none"}
                  </td>
                  <td>
                    {pixels(width.percentiles.p50, height.percentiles.p50)}
                    <small>
                      {" "}
                      median; {pixels(width.min, height.min)} to {pixels(width.max, height.max)}
                    </small>
                  </td>
                  <td>
                    {rounded(size.percentiles.p50)}
                    <small> median; at most {rounded(size.max)}</small>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scroll>
    </section>
  );
}

const pixels = (width: Maybe, height: Maybe) => `${count(width)} × ${count(height)}`;
const rounded = (size: Maybe) => bytes(typeof size === "number" ? Math.round(size) : null);
