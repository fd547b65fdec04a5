/** Two models on the same images: right and unsure answers, before and after. */
import {
  adviceOf,
  counts,
  headline,
  type Improvement,
  type Pair,
  unsureText,
  worldText,
} from "./improvement";
import { plainly, VersionName } from "./names";

/** Two bars on one scale, before and after; hidden from screen readers, which read the text. */
function Bars({ of: { before, after } }: { of: Pair }) {
  return (
    <div class="improved-bars" aria-hidden="true">
      {[before, after].map(({ accuracy }, at) => (
        <div key={at === 0 ? "before" : "after"} class={at === 0 ? "before" : "after"}>
          <span style={{ width: `${100 * accuracy}%` }} />
        </div>
      ))}
    </div>
  );
}

/** The service's warnings about a model, if it has any. */
export const Warnings = ({ of }: { of: readonly string[] }) => (
  <>
    {of.map((warning) => (
      <p key={warning} class="improved-warning">
        <strong>Warning.</strong> {warning} More images of both kinds make it surer.
      </p>
    ))}
  </>
);

/** Without its headline, which a heading has. */
export function Improved({ of }: { of: Improvement }) {
  return (
    <>
      <Bars of={of.of} />
      <p class="improved-counts">{counts(of)}</p>
      <p>{unsureText(of)}</p>
      {of.world && <p>{worldText(of.world)}</p>}
      <Warnings of={of.warnings} />
    </>
  );
}

/** A comparison in a few lines, before a decision; `live` is the model that is live now. */
export function Compared({ of, live }: { of: Improvement | null; live: string }) {
  if (!of) {
    return (
      <p class="compared">
        No comparison with the live model on the same images is known. Figures of different images
        do not say which is better.
      </p>
    );
  }
  return (
    <div class="compared">
      <p class="run-headline">{headline(of)}</p>
      <p>
        {unsureText(of)} {of.world && worldText(of.world)}
      </p>
      {of.champion !== live && (
        <p class="hint">
          “Before” is <VersionName of={of.champion} />, which was live when this version was
          trained, and not the live model.
        </p>
      )}
      <Warnings of={of.warnings} />
    </div>
  );
}

/** Advice on how to change a refusal. */
export function Advice({ of: gate }: { of: unknown }) {
  const advice = adviceOf(gate);
  if (!advice) return null;
  return (
    <p class="improved-advice">
      <strong>What would change it:</strong> {plainly(advice)}{" "}
      <a href="/models?show=training">Go to training</a>
    </p>
  );
}
