/** The labelled images: how many, what they look like, and which of them somebody should look at. */
import { api, ask, type Schemas } from "../../api/client";
import { useLoad } from "../../api/use-load";
import { count, percent, time } from "../../format";
import { Figure, Figures } from "../../ui/figure";
import { Empty, Shown } from "../../ui/state";
import { Duplicates } from "./duplicates";
import { Looks, Samples, Sizes } from "./looks";
import { Rejected } from "./rejected";
import { BAIT, balance, type Classes, type Label, REAL } from "./words";

/** As the service answers, which always tells of both classes. */
type Dataset = Omit<Schemas["Dataset"], "counts" | "classes"> & {
  counts: Record<Label, number>;
  classes: Classes;
};

export function Images() {
  const dataset = useLoad(
    async (signal) => (await ask(api().GET("/dataset", { signal }))) as Dataset,
    [],
  );
  return (
    <Shown of={dataset} label="Looking through the labelled images">
      {(told) =>
        told.images === 0 ? (
          <>
            <Empty title="No labelled images yet">
              <p>
                Upload some on <a href="/models?show=training">Models</a>, or drop them into{" "}
                <code>train/clickbait/</code> and <code>train/legitimate/</code> of the data bucket:
                each is looked at as it comes, and is here a moment later. Two hundred are about the
                least that a training learns from.
              </p>
              <button type="button" class="secondary small" onClick={dataset.reload}>
                Look again
              </button>
            </Empty>
            {told.rejected.images > 0 && <Rejected of={told.rejected} />}
          </>
        ) : (
          <>
            <Counts of={told} />
            <div class="row apart stale">
              <p class="hint">{balance(told.counts)}</p>
              <p class="hint">
                As of {time(dataset.at ?? Date.now())}{" "}
                <button type="button" class="link" onClick={dataset.reload}>
                  {dataset.loading ? "Looking …" : "Look again"}
                </button>
              </p>
            </div>
            <Doubts of={told} />
            <Looks of={told.classes} />
            <Samples of={told.classes} />
            <Sizes of={told.classes} />
            <Duplicates of={told.duplicates} />
            <Rejected of={told.rejected} />
          </>
        )
      }
    </Shown>
  );
}

function Counts({ of: { images, counts, waiting, rejected } }: { of: Dataset }) {
  const share = (label: Label) => (images > 0 ? percent(counts[label] / images, 0) : undefined);
  return (
    <Figures>
      <Figure label="Labelled images" value={count(images)} />
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
              no run has trained on them yet: <a href="/models">train</a>
            </>
          ) : (
            "a run has trained on each"
          )
        }
      />
      <Figure
        label="Set aside"
        value={count(rejected.images)}
        tone={rejected.images > 0 ? "warn" : undefined}
        note={rejected.images > 0 ? <a href="#rejected">why</a> : "nothing was refused"}
      />
    </Figures>
  );
}

/** What is certainly wrong, before all figures. */
function Doubts({ of: { duplicates } }: { of: Dataset }) {
  const doubted = [...duplicates.identical.items, ...duplicates.near.items].filter(
    (family) => family.labels.length > 1,
  ).length;
  if (doubted === 0) return null;
  return (
    <p class="card notice">
      {doubted === 1 ? "One image is" : `${count(doubted)} images are`} there under both labels, so
      one of each two labels is wrong. A training leaves such images out until that is settled:{" "}
      <a href="#duplicates">look at {doubted === 1 ? "it" : "them"}</a>.
    </p>
  );
}
