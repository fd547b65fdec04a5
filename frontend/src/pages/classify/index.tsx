/** Classify images: the verdict, the evidence, and a way to correct it. */
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
  // A new image is shown first.
  const newest = all[0]?.id;
  useEffect(() => setChosen(null), [newest]);
  const shown = all.find((one) => one.id === chosen) ?? all[0];
  return (
    <>
      <h1 tabIndex={-1}>Classify</h1>
      <DropZone
        label="Drop or paste an image"
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
          Upload at full size
        </label>
      </DropZone>
      {shown ? (
        <Result key={shown.id} of={shown} />
      ) : (
        <Empty title="No images yet">
          <p>
            JPEG, PNG or WebP. Large images are resized before uploading, so photos are as fast as
            thumbnails. For more than ten images, use <a href="/batch">Batch</a>.
          </p>
        </Empty>
      )}
      {all.length > 1 && (
        <section aria-labelledby="history">
          <h2 id="history">This session</h2>
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
                        : "Analysing …"}
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
