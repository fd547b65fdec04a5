/** The mistakes that the model is most sure of: wrong labels hide here, and its blind spots. */
import type { Schemas } from "../../api/client";
import { className, percent, plural } from "../../format";
import { Scroll } from "../../ui/scroll";
import { Empty } from "../../ui/state";
import { FirstOf } from "./more";
import { Thumb } from "./thumb";
import { BAIT, fileOf, TONES } from "./words";

const ROWS_SHOWN = 8;

type Mistake = Schemas["Mistake"];

const calledOf = ({ label }: Mistake) => (label === BAIT ? "Legitimate" : "Clickbait");
/** How sure it is of what it says, which is not what it is. */
const sureOf = ({ label, probability }: Mistake) =>
  percent(label === BAIT ? 1 - probability : probability, 0);

export function Mistakes({ of: { mistakes } }: { of: Schemas["Evaluation"] }) {
  return (
    <section aria-labelledby="mistakes">
      <h2 id="mistakes">Most confident mistakes</h2>
      {mistakes.length === 0 ? (
        <Empty title="It made none">
          <p>Every test image was called what it is.</p>
        </Empty>
      ) : (
        <>
          <p class="hint">
            The {plural(mistakes.length, "test image")} that it is most surely wrong about, worst
            first. Look at the label too: some of them may be right.
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
        <span class={`tag ${TONES[one.label]}`}>Is {className(one.label).toLowerCase()}</span>
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
        They cannot be shown: these very images do not lie in <code>train/</code> of the data
        bucket.
      </p>
      <FirstOf items={of} shown={ROWS_SHOWN} name="mistakes">
        {(some) => (
          <Scroll label="Table of mistakes">
            <table class="flat">
              <thead>
                <tr>
                  <th scope="col">File</th>
                  <th scope="col">Is</th>
                  <th scope="col">Was called</th>
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
