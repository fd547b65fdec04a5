/** Ask about an image: what the model says, why, and what it should have said. */
import { useEffect, useState } from "preact/hooks";
import { percent } from "../../format";
import { warmUp } from "../../image/prepare";
import { classified, classify } from "../../store/classified";
import { DropZone } from "../../ui/drop-zone";
import { Empty } from "../../ui/state";
import { toneOf, verdictOf } from "../../ui/verdict";
import { Result } from "./result";

export default function Classify() {
  const all = classified.value;
  const [chosen, setChosen] = useState<number | null>(null);
  const [original, setOriginal] = useState(false);
  useEffect(() => warmUp(), []);
  // A new image is what one wants to see, whatever was looked at before.
  const newest = all[0]?.id;
  useEffect(() => setChosen(null), [newest]);
  const shown = all.find((one) => one.id === chosen) ?? all[0];
  return (
    <>
      <h1 tabIndex={-1}>Classify</h1>
      <DropZone
        label="Drop an image here, or paste one"
        multiple
        camera
        paste
        compact={all.length > 0}
        onFiles={(files) => {
          for (const file of files.slice(0, 10)) classify(file, original);
        }}
      >
        <label class="check">
          <input
            type="checkbox"
            checked={original}
            onChange={(event) => setOriginal(event.currentTarget.checked)}
          />
          Send the original, unshrunk
        </label>
      </DropZone>
      {shown ? (
        <Result key={shown.id} of={shown} />
      ) : (
        <Empty title="Nothing asked yet">
          <p>
            JPEG, PNG or WebP. Large images are made smaller in this browser first, so a photograph
            takes no longer than a thumbnail. For many at once there is <a href="/batch">Batch</a>.
          </p>
        </Empty>
      )}
      {all.length > 1 && (
        <section aria-labelledby="history">
          <h2 id="history">In this session</h2>
          <ul class="strip">
            {all.map((one) => (
              <li key={one.id}>
                <button
                  type="button"
                  class={`strip-item ${one.answer ? toneOf(one.answer) : ""}`}
                  aria-pressed={one === shown}
                  onClick={() => setChosen(one.id)}
                >
                  <img src={one.picture} alt={one.source.name} loading="lazy" />
                  <span>
                    {one.answer
                      ? `${verdictOf(one.answer)}, ${percent(one.answer.probability)}`
                      : one.problem
                        ? one.problem.title
                        : "waiting"}
                  </span>
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
