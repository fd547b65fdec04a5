/** Two images side by side: which looks less like clickbait, and what the model sees in each. */
import { evidenceText, NO_EVIDENCE } from "../../image/evidence";
import type { Classified } from "../../store/classified";
import { comparedText } from "./compared";
import { Result } from "./result";

/** Names that tell the two apart, as pasted images all have the same. */
export function namesOf(of: readonly [Classified, Classified]): readonly [string, string] {
  const [one, other] = of.map(({ source }) => source.name) as [string, string];
  return one === other ? [`The first ${one}`, `the second ${other}`] : [one, other];
}

export function Pair({ of }: { of: readonly [Classified, Classified] }) {
  const names = namesOf(of);
  const both = of.flatMap(({ answer, flat }, at) =>
    answer ? [{ name: names[at] ?? "", answer, cells: flat ? null : answer.evidence }] : [],
  );
  const [one, other] = both;
  return (
    <section class="pair" aria-labelledby="pair">
      <h2 id="pair">Side by side</h2>
      {one && other && (
        <div class="card pair-text" role="status">
          <p class="title">{comparedText(one, other)}</p>
          <ul>
            {both.map(({ name, cells }) => (
              <li key={name}>
                <span class="file-name">{name}</span>: {cells ? evidenceText(cells) : NO_EVIDENCE}
              </li>
            ))}
          </ul>
        </div>
      )}
      <div class="pair-results">
        {of.map((image) => (
          <Result key={image.id} of={image} brief />
        ))}
      </div>
    </section>
  );
}
