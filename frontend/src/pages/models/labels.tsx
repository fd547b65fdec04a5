/** What the live model said of the new labels, before anything was trained on them. */
import type { Schemas } from "../../api/client";
import { className, count, percent } from "../../format";
import { Scroll } from "../../ui/scroll";
import { Look } from "./look";
import { plainly } from "./names";

export function Labels({ of, again }: { of: Schemas["LabelCheck"]; again: () => void }) {
  const agreed = of.images - of.contradicted;
  return (
    <section class="card" aria-labelledby="labels">
      <h2 id="labels">Are the new labels right?</h2>
      <p class={of.rejected ? "bad" : of.warning ? "warn" : ""}>
        {plainly(of.reason || of.warning) ||
          `The live model agrees with ${count(agreed)} of ${count(of.images)} new labels, as often as is to be expected.`}
      </p>
      <Scroll label="Table of the new labels">
        <table>
          <thead>
            <tr>
              <th scope="col">Labelled as</th>
              <th scope="col" class="number">
                New images
              </th>
              <th scope="col" class="number">
                Contradicted
              </th>
            </tr>
          </thead>
          <tbody>
            {Object.entries(of.classes).map(([label, { images, contradicted }]) => (
              <tr key={label}>
                <th scope="row">{className(label)}</th>
                <td class="number">{count(images)}</td>
                <td class="number">
                  {count(contradicted)}, {percent(images > 0 ? contradicted / images : null)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
      {of.own_error !== null && !of.rejected && !of.warning && (
        <p class="hint">
          On its own test images it was wrong about {percent(of.own_error)}: so much contradiction
          is no surprise.
        </p>
      )}
      {of.worst.length > 0 && (
        <>
          <h3>Those it contradicts most</h3>
          <ul class="looks">
            {of.worst.map((one) => (
              <li key={one.key}>
                {one.url ? (
                  <Look url={one.url} alt={one.key} again={again} />
                ) : (
                  <div class="look none">
                    <small>It is not there any more.</small>
                  </div>
                )}
                <p>
                  labelled <strong>{className(one.label).toLowerCase()}</strong>
                  <small>it says {percent(one.probability)} clickbait</small>
                </p>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}
