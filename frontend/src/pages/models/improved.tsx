/** The result of a training: right answers on the owner's images and on the world's, before and after. */
import { adviceOf, counts, type Improvement, type Pair, unsureOf, worldText } from "./improvement";
import { plainly } from "./names";

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

export function Improved({ of }: { of: Improvement }) {
  const unsure = unsureOf(of);
  return (
    <>
      <Bars of={of.own} />
      <p class="improved-counts">{counts(of)}</p>
      {of.world && <p>{worldText(of.world)}</p>}
      {unsure && (
        <p class={unsure.much ? "improved-warning" : ""}>
          {unsure.text}
          {unsure.much &&
            " It says “unsure” much more often: more images of both kinds make it surer."}
        </p>
      )}
    </>
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
