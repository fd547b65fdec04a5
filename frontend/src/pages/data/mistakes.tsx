/** The mistakes that the model is most confident about: wrong labels, and blind spots. */
import type { Schemas } from "../../api/client";
import { className, percent, plural } from "../../format";
import { Scroll } from "../../ui/scroll";
import { Empty } from "../../ui/state";
import { BAIT, fileOf, TONES } from "./descriptions";
import { FirstOf } from "./first-of";
import { Thumb } from "./thumb";

const ROWS_SHOWN = 8;

type Mistake = Schemas["Mistake"];

const calledOf = ({ label }: Mistake) => (label === BAIT ? "Legitimate" : "Clickbait");
/** The model's confidence in its wrong verdict. */
const sureOf = ({ label, probability }: Mistake) =>
  percent(label === BAIT ? 1 - probability : probability, 0);

export function Mistakes({ of: { mistakes } }: { of: Schemas["Evaluation"] }) {
  return (
    <section aria-labelledby="mistakes">
      <h2 id="mistakes">Most confident mistakes</h2>
      {mistakes.length === 0 ? (
        <Empty title="No mistakes">
          <p>Every test image was classified correctly.</p>
        </Empty>
      ) : (
        <>
          <p class="hint">
            The model’s {plural(mistakes.length, "most confident mistake")} on test images, worst
            first. Check the labels too: the model may be right.
          </p>
          {mistakes.some(({ url }) => url) ? <Pictures of={mistakes} /> : <Names of={mistakes} />}
        </>
      )}
    </section>
  );
}

const Pictures = ({ of }: { of: Mistake[] }) => (
  <div class="thumbs">
    {of.map((one) => (
      <Thumb key={one.sha256} of={one.file} url={one.url}>
        <span class={`tag ${TONES[one.label]}`}>Label: {className(one.label).toLowerCase()}</span>
        <span>
          {calledOf(one)}, {sureOf(one)} sure
        </span>
      </Thumb>
    ))}
  </div>
);

function Names({ of }: { of: Mistake[] }) {
  return (
    <>
      <p class="hint">
        No pictures: these images are not in <code>train/</code> of the data bucket.
      </p>
      <FirstOf items={of} shown={ROWS_SHOWN} name="mistakes">
        {(some) => (
          <Scroll label="Table of mistakes">
            <table class="flat">
              <thead>
                <tr>
                  <th scope="col">File</th>
                  <th scope="col">Label</th>
                  <th scope="col">Verdict</th>
                  <th scope="col" class="number">
                    Probability of clickbait
                  </th>
                </tr>
              </thead>
              <tbody>
                {some.map((one) => (
                  <tr key={one.sha256}>
                    <td>
                      <code title={one.file}>{fileOf(one.file)}</code>
                    </td>
                    <td>
                      <span class={`tag ${TONES[one.label]}`}>{className(one.label)}</span>
                    </td>
                    <td>
                      {calledOf(one)}, {sureOf(one)} sure
                    </td>
                    <td class="number">{percent(one.probability)}</td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scroll>
        )}
      </FirstOf>
    </>
  );
}
