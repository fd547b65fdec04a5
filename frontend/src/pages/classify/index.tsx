/** Classify images: the verdict, the evidence, two side by side, and a way to correct it. */
import { useEffect, useState } from "preact/hooks";
import { percent } from "../../format";
import { type Classified, classified, clear } from "../../store/classified";
import { part } from "../../ui/later";
import { Empty } from "../../ui/state";
import { toneOf, verdictOf } from "../../ui/verdict";
import { Choose } from "./choose";
import "./classify.css";

/** Loaded once the page is there, before an image is chosen. */
const verdicts = () => import("./verdicts");
const One = part(() => verdicts().then((module) => module.One));
const Pair = part(() => verdicts().then((module) => module.Pair));

type Two = readonly [number, number];

function stateOf({ answer, problem }: Classified): string {
  if (answer) return `${verdictOf(answer)}, ${percent(answer.probability)}`;
  return problem ? problem.title : "Analysing …";
}

function Strip({
  of,
  shown,
  onPick,
}: {
  of: readonly Classified[];
  shown: readonly number[];
  onPick: (id: number) => void;
}) {
  return (
    <ul class="strip">
      {of.map((one) => (
        <li key={one.id}>
          <button
            type="button"
            class={`strip-item ${one.answer ? toneOf(one.answer) : ""}`}
            aria-pressed={shown.includes(one.id)}
            onClick={() => onPick(one.id)}
          >
            <img src={one.picture} alt={one.source.name} loading="lazy" />
            <span>{stateOf(one)}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

export default function Classify() {
  const all = classified.value;
  const [chosen, setChosen] = useState<number | null>(null);
  const [two, setTwo] = useState<Two | null>(null);
  useEffect(() => void verdicts().catch(() => undefined), []);
  // A new image is shown first.
  const newest = all[0]?.id;
  useEffect(() => setChosen(null), [newest]);
  const shown = all.find((one) => one.id === chosen) ?? all[0];
  const [first, second] = (two ?? []).map((id) => all.find((one) => one.id === id));
  const pair = first && second ? ([first, second] as const) : null;

  const pick = (id: number) => {
    if (!two) setChosen(id);
    else if (!two.includes(id)) setTwo([two[1], id]);
  };
  const compare = () => {
    if (!shown) return;
    const other = all.find((one) => one !== shown && one.answer) ?? all.find((o) => o !== shown);
    if (other) setTwo([shown.id, other.id]);
  };
  return (
    <>
      <h1 tabIndex={-1}>Classify</h1>
      <Choose
        onChoice={([one, other, ...rest]) =>
          setTwo(one && other && rest.length === 0 ? [one, other] : null)
        }
      />
      {pair ? (
        <Pair of={pair} />
      ) : shown ? (
        <One key={shown.id} of={shown} />
      ) : (
        <Empty title="No images yet">
          <p>
            JPEG, PNG or WebP; AVIF and HEIC if this browser can open them. Large images are resized
            before uploading, so photos are as fast as thumbnails. For more than ten images, use{" "}
            <a href="/batch">Batch</a>.
          </p>
        </Empty>
      )}
      {all.length === 1 && (
        <p>
          <button type="button" class="quiet small" onClick={clear}>
            Clear<span class="unseen"> this session</span>
          </button>
        </p>
      )}
      {all.length > 1 && (
        <section aria-labelledby="history">
          <div class="row apart history-head">
            <h2 id="history">This session</h2>
            <div class="row">
              <button
                type="button"
                class="secondary small"
                onClick={() => (pair ? setTwo(null) : compare())}
              >
                {pair ? "Show one image" : "Compare two images"}
              </button>
              <button type="button" class="quiet small" onClick={clear}>
                Clear<span class="unseen"> this session</span>
              </button>
            </div>
          </div>
          {pair && <p class="hint">Press an image to compare it with the one pressed before.</p>}
          <Strip
            of={all}
            shown={pair ? pair.map(({ id }) => id) : [shown?.id ?? 0]}
            onPick={pick}
          />
        </section>
      )}
    </>
  );
}
