/** The label check: the live model's verdicts on the new labels, before any training. */
import type { Schemas } from "../../api/client";
import { className, count, percent } from "../../format";
import { Scroll } from "../../ui/scroll";
import { ExpiringImage } from "./expiring-image";
import { plainly } from "./names";

export function Labels({ of, refresh }: { of: Schemas["LabelCheck"]; refresh: () => void }) {
  const agreed = of.images - of.contradicted;
  // Runs of before have one warning, newer ones a list.
  const warning = of.warning || (of.warnings ?? []).join(" ");
  return (
    <section class="card" aria-labelledby="labels">
      <h2 id="labels">Label check</h2>
      <p class={of.rejected ? "bad" : warning ? "warn" : ""}>
        {plainly(of.reason || warning) ||
          `The live model agrees with ${count(agreed)} of ${count(of.images)} new labels, as expected.`}
      </p>
      <Scroll label="Table of the new labels">
        <table>
          <thead>
            <tr>
              <th scope="col">Label</th>
              <th scope="col" class="number">
                New images
              </th>
              <th scope="col" class="number">
                Disagrees
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
      {typeof of.own_error === "number" && !of.rejected && !warning && (
        <p class="hint">
          On its own test images the model was wrong about {percent(of.own_error)}, so this many
          disagreements are normal.
        </p>
      )}
      {of.worst.length > 0 && (
        <>
          <h3>Labels the model disagrees with most</h3>
          <ul class="doubted-labels">
            {of.worst.map((one) => (
              <li key={one.key}>
                {one.url ? (
                  <ExpiringImage url={one.url} alt={one.key} refresh={refresh} />
                ) : (
                  <div class="stored none">
                    <small>Deleted since</small>
                  </div>
                )}
                <p>
                  Label: <strong>{className(one.label).toLowerCase()}</strong>
                  <small>Model: {percent(one.probability)} clickbait</small>
                </p>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}
