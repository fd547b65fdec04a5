/** Where a batch begins: a few files are predicted at once, many become a batch. */
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { MAX_FILES, MAX_ID, MAX_IMAGES } from "../../api/limits";
import { asProblem, type Problem } from "../../api/problem";
import { config, member, predictor, token } from "../../api/session";
import { useLoad } from "../../api/use-load";
import { count, dateTime, plural, since } from "../../format";
import { conversionText } from "../../image/format";
import { warmUp } from "../../image/prepare";
import { takeHanded } from "../../store/handed";
import { Code, predictions } from "../../ui/code";
import { DropZone } from "../../ui/drop-zone";
import { FullSize } from "../../ui/full-size";
import { LeftOutFiles } from "../../ui/left-out";
import { Scroll } from "../../ui/scroll";
import { ofFiles } from "../../ui/snippets";
import { Empty, Failure, Shown, Working } from "../../ui/state";
import { NeedsToken } from "../../ui/token";
import { type LeftOut, split } from "../../upload/names";
import { AllBatches } from "./all";
import * as kept from "./kept";
import { stateText } from "./progress-text";
import { predictNow, type QuickBatch, quickBatch, resume } from "./quick-batch";
import { quickLabels } from "./quick-labels";
import { Results, saveRows } from "./results";
import { begin } from "./uploads";

interface Choice {
  files: readonly File[];
  original: boolean;
}

/** Chosen files that wait for the token, or for the service. */
const waiting = signal<Choice | null>(null);

function Beginning({ files, original }: Choice) {
  const { route } = useLocation();
  const [problem, setProblem] = useState<Problem>();
  const [turn, setTurn] = useState(0);
  const allowed = member.value;
  useEffect(() => {
    if (!allowed) return;
    setProblem(undefined);
    begin(files, original).then(
      (batch) => {
        waiting.value = null;
        route(`/batch/${batch}`);
      },
      (error) => setProblem(asProblem(error, config.value.api)),
    );
  }, [allowed, token.value, turn]);
  const some = files.slice(0, MAX_IMAGES);
  const discard = (
    <button type="button" class="quiet small" onClick={() => (waiting.value = null)}>
      Discard files
    </button>
  );
  if (!allowed) {
    return (
      <NeedsToken
        reason={`Sign in to run more than ${MAX_IMAGES} images. Your ${plural(files.length, "file")} are kept here.`}
      >
        <button
          type="button"
          class="secondary"
          onClick={() => {
            waiting.value = null;
            void predictNow(some, original);
          }}
        >
          Run the first {MAX_IMAGES} only
        </button>
        {discard}
      </NeedsToken>
    );
  }
  if (!problem) return <Working label={`Creating a batch of ${plural(files.length, "file")} …`} />;
  return (
    <Failure problem={problem} retry={() => setTurn(turn + 1)}>
      {discard}
    </Failure>
  );
}

function Quick({ of }: { of: QuickBatch }) {
  const rows = of.rows.filter((row) => row !== undefined);
  const complete = rows.length === of.names.length;
  return (
    <>
      {of.busy && (
        <Working
          label={`Analysing ${plural(of.names.length, "file")} …`}
          done={rows.length}
          total={of.names.length}
        />
      )}
      {of.problem && <Failure problem={of.problem} retry={() => void resume(of)} />}
      {of.converted.length > 0 && <p class="hint">{conversionText(of.converted)}</p>}
      {complete && (
        <>
          <Results
            rows={rows}
            picture={async (_, place) => of.images[place]}
            judging={member.value ? quickLabels(of) : null}
            save={async (forExcel) => saveRows(rows, forExcel)}
          />
          <Code of={ofFiles(predictions(), of.names)} />
          <button type="button" class="quiet small" onClick={() => (quickBatch.value = null)}>
            Clear results
          </button>
        </>
      )}
    </>
  );
}

/** A batch by its id: a folder of the inbox, or a batch that began elsewhere. */
function ByName() {
  const { route } = useLocation();
  const [name, setName] = useState("");
  return (
    <form
      class="by-name"
      onSubmit={(event) => {
        event.preventDefault();
        if (name.trim()) route(`/batch/${encodeURIComponent(name.trim())}`);
      }}
    >
      <label for="by-name">Batch ID or inbox folder</label>
      <div class="row">
        <input
          id="by-name"
          required
          maxLength={MAX_ID}
          spellcheck={false}
          autocomplete="off"
          value={name}
          onInput={(event) => setName(event.currentTarget.value)}
        />
        <button type="submit" class="secondary">
          Open
        </button>
      </div>
    </form>
  );
}

function Mine() {
  const batches = useLoad(async () => {
    await kept.sweep();
    return kept.all();
  }, []);
  const remove = async (id: string) => {
    await kept.forget(id);
    batches.reload();
  };
  return (
    <Shown of={batches} label="Loading your batches">
      {(all) =>
        all.length === 0 ? (
          <Empty title="No batch from this browser yet">
            <p>
              Up to {MAX_IMAGES} images get their results right here. More, up to {count(MAX_FILES)}
              , become a batch with its own address: you can close it, come back later, or share it.
            </p>
          </Empty>
        ) : (
          <section aria-labelledby="mine">
            <h2 id="mine">Your batches (this browser)</h2>
            <Scroll label="Table of your batches">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Batch</th>
                    <th scope="col">Started</th>
                    <th scope="col" class="number">
                      Files
                    </th>
                    <th scope="col">State</th>
                    <th scope="col">
                      <span class="unseen">Remove</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {all.map((one) => (
                    <tr key={one.id}>
                      <th scope="row">
                        <a href={`/batch/${encodeURIComponent(one.id)}`}>{one.id}</a>
                      </th>
                      <td title={dateTime(one.at)}>{since(one.at)}</td>
                      <td class="number">{count(one.files)}</td>
                      <td>{stateText(one)}</td>
                      <td class="number">
                        <button
                          type="button"
                          class="quiet small"
                          title="Remove it from this list. The service keeps the batch."
                          onClick={() => void remove(one.id)}
                        >
                          Remove<span class="unseen"> {one.id}</span>
                        </button>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </Scroll>
          </section>
        )
      }
    </Shown>
  );
}

function Inbox() {
  return (
    <section class="inbox" aria-labelledby="inbox">
      <h2 id="inbox">Open another batch</h2>
      <div class="columns">
        <div>
          <p>
            A folder that you copy into <code>inbox/</code> of the data bucket is a batch too. New
            files are added automatically. Open it by its folder name.
          </p>
          <pre>
            <code>aws s3 cp --recursive photos s3://BUCKET/inbox/photos/</code>
          </pre>
        </div>
        <ByName />
      </div>
    </section>
  );
}

export function Begin() {
  const [original, setOriginal] = useState(false);
  const [others, setOthers] = useState<readonly LeftOut[]>([]);
  const [tooMany, setTooMany] = useState(0);
  useEffect(() => {
    warmUp();
    const files = takeHanded();
    if (files.length > 0) void choose(files);
  }, []);

  const choose = async (all: readonly File[]) => {
    const { images, others } = split(all);
    setOthers(others);
    setTooMany(images.length > MAX_FILES ? images.length : 0);
    if (images.length === 0 || images.length > MAX_FILES) return;
    quickBatch.value = null;
    const done = images.length <= MAX_IMAGES && (await predictNow(images, original));
    waiting.value = done ? null : { files: images, original };
  };

  const shown = waiting.value ?? quickBatch.value;
  if (!predictor.value && !shown) {
    return (
      <>
        <h1 tabIndex={-1}>Batch</h1>
        <NeedsToken reason="Sign in to classify images." />
      </>
    );
  }
  return (
    <>
      <h1 tabIndex={-1}>Batch</h1>
      <DropZone
        label="Drop images or a folder"
        multiple
        folder
        compact={shown !== null}
        onFiles={(files) => void choose(files)}
      >
        <FullSize on={original} onChange={setOriginal} />
      </DropZone>
      {tooMany > 0 && (
        <div class="card attention" role="alert">
          <h3>Too many images</h3>
          <p>
            You chose {count(tooMany)}; a batch holds {count(MAX_FILES)}. Upload them folder by
            folder, or use the inbox below, which has no limit.
          </p>
        </div>
      )}
      <LeftOutFiles of={others} />
      {waiting.value && <Beginning key={waiting.value.files} {...waiting.value} />}
      {quickBatch.value && <Quick of={quickBatch.value} />}
      {!shown && !member.value && (
        <Empty title={`Up to ${MAX_IMAGES} images at once`}>
          <p>They get their results right here. For more, up to {count(MAX_FILES)}, sign in.</p>
        </Empty>
      )}
      {!shown && member.value && (
        <>
          <div class="settling">
            <Mine />
          </div>
          <Inbox />
          {/* Last, so that nothing below it moves when it has loaded. */}
          <AllBatches />
        </>
      )}
    </>
  );
}
