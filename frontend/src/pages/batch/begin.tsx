/** Where a batch begins: few files are asked about at once, many become a batch of the service. */
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { asProblem, type Problem } from "../../api/problem";
import { config, member, token } from "../../api/session";
import { useLoad } from "../../api/use-load";
import { count, dateTime, plural, since } from "../../format";
import { warmUp } from "../../image/prepare";
import { DropZone } from "../../ui/drop-zone";
import { Scroll } from "../../ui/scroll";
import { Empty, Failure, Shown, Working } from "../../ui/state";
import { TokenForm } from "../../ui/token";
import { type Asked, askAbout, asked, goOn, MOST_AT_ONCE } from "./at-once";
import { csv, type Row } from "./csv";
import * as keep from "./keep";
import { MAX_FILES, sorted } from "./names";
import { Results } from "./results";
import { begin } from "./uploads";
import { stateInWords } from "./words";

interface Choice {
  files: readonly File[];
  original: boolean;
}

/** Files that were chosen and are not begun with: they wait for the token, or for the service. */
const waiting = signal<Choice | null>(null);

function Beginning({ files, original }: Choice) {
  const { route } = useLocation();
  const [problem, setProblem] = useState<Problem>();
  const [turn, setTurn] = useState(0);
  const may = member.value;
  useEffect(() => {
    if (!may) return;
    setProblem(undefined);
    begin(files, original).then(
      (batch) => {
        waiting.value = null;
        route(`/batch/${batch}`);
      },
      (error) => setProblem(asProblem(error, config.value.api)),
    );
  }, [may, token.value, turn]);
  const drop = (
    <button type="button" class="quiet small" onClick={() => (waiting.value = null)}>
      Let the files go
    </button>
  );
  if (!may) {
    return (
      <>
        <TokenForm
          reason={`${plural(files.length, "file")} wait here meanwhile: more than ${MOST_AT_ONCE} at a time are not for everybody.`}
        />
        {drop}
      </>
    );
  }
  if (!problem) return <Working label={`A batch of ${plural(files.length, "file")} begins …`} />;
  return (
    <Failure problem={problem} retry={() => setTurn(turn + 1)}>
      {drop}
    </Failure>
  );
}

function download(rows: readonly Row[]): void {
  const address = URL.createObjectURL(new Blob([csv(rows)], { type: "text/csv;charset=utf-8" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = "results.csv";
  link.click();
  URL.revokeObjectURL(address);
}

function AtOnce({ of }: { of: Asked }) {
  const rows = of.rows.filter((row) => row !== undefined);
  const complete = rows.length === of.names.length;
  return (
    <>
      {of.busy && (
        <Working
          label={`${plural(of.names.length, "file")}: the model is asked …`}
          done={rows.length}
          total={of.names.length}
        />
      )}
      {of.problem && <Failure problem={of.problem} retry={() => void goOn(of)} />}
      {complete && (
        <>
          <Results
            rows={rows}
            picture={async (_, place) => of.images[place]}
            save={async () => download(rows)}
          />
          <button type="button" class="quiet small" onClick={() => (asked.value = null)}>
            Put these results away
          </button>
        </>
      )}
    </>
  );
}

/** A batch by its name: that of a folder in the inbox, or one that began elsewhere. */
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
      <label for="by-name">Id, or name of the folder in the inbox</label>
      <div class="row">
        <input
          id="by-name"
          required
          maxLength={64}
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
    await keep.sweep();
    return keep.all();
  }, []);
  const forget = async (id: string) => {
    await keep.forget(id);
    batches.reload();
  };
  return (
    <Shown of={batches} label="The batches of this browser">
      {(all) =>
        all.length === 0 ? (
          <Empty title="No batch yet">
            <p>
              Up to {MOST_AT_ONCE} images are answered right here. More, up to {count(MAX_FILES)},
              become a batch with an address of its own, which may be reloaded, left and shared.
            </p>
          </Empty>
        ) : (
          <section aria-labelledby="mine">
            <h2 id="mine">Batches of this browser</h2>
            <Scroll label="Batches of this browser, a table">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Batch</th>
                    <th scope="col">Begun</th>
                    <th scope="col" class="number">
                      Files
                    </th>
                    <th scope="col">State</th>
                    <th scope="col">
                      <span class="unseen">Forget</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {all.map((one) => (
                    <tr key={one.id}>
                      <th scope="row">
                        <a href={`/batch/${one.id}`}>{one.id}</a>
                      </th>
                      <td title={dateTime(one.at)}>{since(one.at)}</td>
                      <td class="number">{count(one.files)}</td>
                      <td>{stateInWords(one)}</td>
                      <td class="number">
                        <button
                          type="button"
                          class="quiet small"
                          title="This browser forgets it; the service does not"
                          onClick={() => void forget(one.id)}
                        >
                          Forget<span class="unseen"> {one.id}</span>
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
      <h2 id="inbox">Batches from elsewhere</h2>
      <div class="columns">
        <div>
          <p>
            A folder that is put into <code>inbox/</code> of the data bucket is a batch too, and has
            no end: what comes later is added. Its progress and results are at its name.
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
  const [others, setOthers] = useState<readonly string[]>([]);
  const [tooMany, setTooMany] = useState(0);
  useEffect(() => warmUp(), []);

  const choose = async (all: File[]) => {
    const { images, others } = sorted(all);
    setOthers(others);
    setTooMany(images.length > MAX_FILES ? images.length : 0);
    if (images.length === 0 || images.length > MAX_FILES) return;
    asked.value = null;
    const answered = images.length <= MOST_AT_ONCE && (await askAbout(images, original));
    waiting.value = answered ? null : { files: images, original };
  };

  const shown = waiting.value ?? asked.value;
  return (
    <>
      <h1 tabIndex={-1}>Batch</h1>
      <DropZone
        label="Drop images or a whole folder here"
        multiple
        folder
        compact={shown !== null}
        onFiles={(files) => void choose(files)}
      >
        <label class="check">
          <input
            type="checkbox"
            checked={original}
            onChange={(event) => setOriginal(event.currentTarget.checked)}
          />
          Send the originals, unshrunk
        </label>
      </DropZone>
      {tooMany > 0 && (
        <div class="card attention" role="alert">
          <h3>{count(tooMany)} images are too many for one batch</h3>
          <p>
            It takes {count(MAX_FILES)}. Choose fewer at a time, for instance folder by folder; each
            becomes a batch of its own. The inbox below has no such limit.
          </p>
        </div>
      )}
      {others.length > 0 && (
        <p class="hint" role="status">
          Left out, for they are no images: {others.slice(0, 5).join(", ")}
          {others.length > 5 && ` and ${plural(others.length - 5, "other")}`}.
        </p>
      )}
      {waiting.value && <Beginning key={waiting.value.files} {...waiting.value} />}
      {asked.value && <AtOnce of={asked.value} />}
      {!shown && (
        <div class="settling">
          <Mine />
        </div>
      )}
      {!shown && <Inbox />}
    </>
  );
}
