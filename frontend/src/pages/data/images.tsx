/** The labelled images: counts, appearance, duplicates and rejected files. */
import type { Schemas } from "../../api/client";
import { countingText, useDataset } from "../../api/use-dataset";
import type { Loaded } from "../../api/use-load";
import { count, percent, time } from "../../format";
import { Figure, Figures } from "../../ui/figure";
import { Empty, Shown } from "../../ui/state";
import { Appearance, Samples, Sizes } from "./appearance";
import { BAIT, balance, type Classes, type Label, REAL } from "./descriptions";
import { Duplicates } from "./duplicates";
import { Rejected } from "./rejected";

/** The response, which always has both classes. */
type Dataset = Omit<Schemas["Dataset"], "counts" | "classes"> & {
  counts: Record<Label, number>;
  classes: Classes;
};

export function Images() {
  const dataset = useDataset() as Loaded<Dataset>;
  return (
    <Shown of={dataset} label="Loading labelled images">
      {(loaded) =>
        loaded.images === 0 ? (
          <>
            <Empty title={countingText(loaded) ?? "No labelled images yet"}>
              <p>
                Upload some on <a href="/models?show=training">Models</a>, or drop them into{" "}
                <code>train/clickbait/</code> and <code>train/legitimate/</code> of the data bucket.
                They appear here a moment later. Start with at least two hundred.
              </p>
              <button type="button" class="secondary small" onClick={dataset.reload}>
                Refresh
              </button>
            </Empty>
            {loaded.rejected.images > 0 && <Rejected of={loaded.rejected} />}
          </>
        ) : (
          <>
            <Counts of={loaded} />
            <div class="row apart stale">
              <p class="hint">
                {loaded.counting ? `${countingText(loaded)}; the numbers update themselves. ` : ""}
                {balance(loaded.counts)} {loaded.waiting.images > 0 && loaded.waiting.reason}
              </p>
              <p class="hint">
                As of {time(dataset.at ?? Date.now())}{" "}
                <button type="button" class="link" onClick={dataset.reload}>
                  {dataset.loading ? "Loading …" : "Refresh"}
                </button>
              </p>
            </div>
            <Doubts of={loaded} />
            <Appearance of={loaded.classes} />
            <Samples of={loaded.classes} />
            <Sizes of={loaded.classes} />
            <Duplicates of={loaded.duplicates} />
            <Rejected of={loaded.rejected} />
          </>
        )
      }
    </Shown>
  );
}

function Counts({ of }: { of: Dataset }) {
  const { images, counts, waiting, rejected } = of;
  const mark = countingText(of);
  const share = (label: Label) => (images > 0 ? percent(counts[label] / images, 0) : undefined);
  return (
    <Figures>
      <Figure label="Labelled images" value={count(images)} note={mark} />
      <Figure
        label="Clickbait"
        value={<span class="bait">{count(counts[BAIT])}</span>}
        note={share(BAIT)}
      />
      <Figure
        label="Legitimate"
        value={<span class="real">{count(counts[REAL])}</span>}
        note={share(REAL)}
      />
      <Figure
        label="Waiting"
        value={count(waiting.images)}
        note={
          waiting.images > 0 ? (
            <>
              not trained on yet: <a href="/models?show=training">train</a>
            </>
          ) : (
            (mark ?? "All used in training")
          )
        }
      />
      <Figure
        label="Rejected files"
        value={count(rejected.images)}
        tone={rejected.images > 0 ? "warn" : undefined}
        note={rejected.images > 0 ? <a href="#rejected">see why</a> : "none"}
      />
    </Figures>
  );
}

/** Certain mistakes, before all figures. */
function Doubts({ of: { duplicates } }: { of: Dataset }) {
  const doubted = [...duplicates.identical.items, ...duplicates.near.items].filter(
    (family) => family.labels.length > 1,
  ).length;
  if (doubted === 0) return null;
  return (
    <p class="card notice">
      {doubted === 1 ? "One image has" : `${count(doubted)} images have`} both labels. Training
      skips such images until you <a href="#duplicates">delete the wrong copies</a>.
    </p>
  );
}
