/** One batch: its uploads, how far the service is with it, and its results. */
import { useEffect, useState } from "preact/hooks";
import { api, ask } from "../../api/client";
import { token } from "../../api/session";
import { useLoad } from "../../api/use-load";
import { count, dateTime, duration, plural, time } from "../../format";
import { learn } from "../../store/model";
import { announce } from "../../ui/announce";
import { Figure, Figures } from "../../ui/figure";
import { Shown, Working } from "../../ui/state";
import type { Row } from "./csv";
import * as keep from "./keep";
import { Results } from "./results";
import { Open, Uploading } from "./uploading";
import { type Told, type Uploads, uploadsOf } from "./uploads";
import { type Batch, milestone, progressInWords, rateInWords } from "./words";

/** Milliseconds between two looks; the service counts all rows each time, 10,000 take a second. */
const EVERY_MS = 1_500;
const EVERY_MS_OF_MANY = 5_000;
const MANY = 2_000;
/** A folder of the inbox is never closed: whoever looks at it sees what is added. */
const EVERY_MS_OF_A_FOLDER = 10_000;

/** Rows of one answer: as many as there can be. */
const ROWS = 1_000;

function About({ of }: { of: Batch }) {
  return (
    <p class="about hint">
      {plural(of.expected, "file")}, begun {dateTime(of.created)}
      {of.source === "folder" && (
        <>
          ; what is put into <code>{of.drop_folder}</code> is added
        </>
      )}
      .
    </p>
  );
}

const share = (part: number, of: number) => ({ width: `${(100 * part) / Math.max(1, of)}%` });

function Progress({
  of,
  told,
  finished,
}: {
  of: Batch;
  told?: Told | undefined;
  finished: boolean;
}) {
  const { expected, done, failed, rate, seconds_left: left, created, finished: end } = of;
  const over = done + failed;
  const reached = finished ? 100 : milestone(over, expected);
  const words = progressInWords(of);
  useEffect(() => {
    if (reached > 0) announce(words);
  }, [reached]);
  const took = end && (new Date(end).getTime() - new Date(created).getTime()) / 1000;
  return (
    <section aria-labelledby="progress">
      <h2 id="progress">{finished ? "Finished" : "Progress"}</h2>
      <Figures>
        {!finished && told && told.phase !== "elsewhere" && (
          <Figure label="Uploaded" value={count(told.sent)} note={`of ${count(expected)}`} />
        )}
        <Figure
          label="Predicted"
          value={count(done)}
          note={`of ${count(expected)}`}
          tone={finished ? "good" : undefined}
        />
        <Figure
          label="Failed"
          value={count(failed)}
          tone={failed > 0 ? "bad" : undefined}
          note={failed > 0 ? "each says why, below" : finished ? "none" : "none so far"}
        />
        <Figure
          label="Rate"
          value={rateInWords(rate)}
          note={finished ? "images a second, on average" : "images a second"}
        />
        {finished ? (
          <Figure label="Took" value={duration(took || null)} note="from its beginning" />
        ) : (
          <Figure label="Time left" value={duration(left)} note="at this rate" />
        )}
      </Figures>
      {!finished && (
        <>
          <div
            class="stages"
            role="progressbar"
            aria-label="Files looked at"
            aria-valuemin={0}
            aria-valuemax={expected}
            aria-valuenow={over}
            aria-valuetext={words}
          >
            <div class="stage uploaded" style={share(Math.max(told?.sent ?? 0, over), expected)} />
            <div class="stage predicted" style={share(over, expected)} />
            <div class="stage failed" style={share(failed, expected)} />
          </div>
          <ul class="stages-key hint" aria-hidden="true">
            {told && <li class="uploaded">uploaded</li>}
            <li class="predicted">predicted</li>
            <li class="failed">failed</li>
          </ul>
        </>
      )}
    </section>
  );
}

/** All rows, as far as there are any; `told` hears how many have come. */
async function rowsOf(
  batch: string,
  told: (rows: number) => void,
  signal: AbortSignal,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await ask(
      api().GET("/batches/{batch}/results", {
        params: { path: { batch }, query: { limit: ROWS, ...(cursor ? { cursor } : {}) } },
        signal,
      }),
    );
    if (typeof page === "string" || "url" in page) break; // Neither was asked for.
    rows.push(...page.items);
    told(rows.length);
    cursor = page.next;
  }
  const version = rows.find((row) => row.model_version)?.model_version;
  if (version) await learn(version).catch(() => undefined);
  return rows;
}

/** Have the browser save the file with all results, which the service writes. */
async function save(batch: string): Promise<void> {
  const link = await ask(
    api().GET("/batches/{batch}/results", {
      params: { path: { batch }, query: { format: "link" } },
    }),
  );
  if (typeof link === "object" && "url" in link) location.assign(link.url);
}

function Rows({ batch, of, finished }: { batch: string; of: number; finished: boolean }) {
  const [fetched, setFetched] = useState(0);
  const rows = useLoad(
    async (signal) => ({
      all: await rowsOf(batch, setFetched, signal),
      // Of a batch that did not begin in this browser there are no pictures.
      pictures: (await keep.find(batch)) !== undefined,
    }),
    [finished],
  );
  const picture = ({ file }: Row) => keep.thumbnail(batch, file);
  if (!rows.value && !rows.problem) {
    return <Working label="The results come …" done={fetched} total={of} />;
  }
  return (
    <Shown of={rows} label="The results">
      {({ all, pictures }) => (
        <>
          {!finished && (
            <p class="hint">
              As they were at {time(rows.at ?? Date.now())}; at the end all are shown.{" "}
              <button type="button" class="link" onClick={rows.reload}>
                Look again
              </button>
            </p>
          )}
          {all.length > 0 && (
            <Results rows={all} picture={pictures ? picture : null} save={() => save(batch)} />
          )}
        </>
      )}
    </Shown>
  );
}

/** The results when there are all, or as far as they are known when somebody asks. */
function Outcome({ of, finished }: { of: Batch; finished: boolean }) {
  const [asked, setAsked] = useState(false);
  const over = of.done + of.failed;
  if (finished || asked) return <Rows batch={of.id} of={over} finished={finished} />;
  if (over === 0) return null;
  return (
    <button type="button" class="secondary" onClick={() => setAsked(true)}>
      Show the {plural(over, "result")} so far
    </button>
  );
}

export function Watch({ id }: { id: string }) {
  const [uploads, setUploads] = useState<Uploads | null>();
  const [every, setEvery] = useState<number | null>(EVERY_MS);
  const batch = useLoad(
    (signal) => ask(api().GET("/batches/{batch}", { params: { path: { batch: id } }, signal })),
    [token.value],
    every,
  );
  useEffect(() => void uploadsOf(id).then((found) => setUploads(found ?? null)), []);
  const told = uploads?.told.value;
  const given = uploads === null || told?.phase === "given";
  const { state, expected = 0, done, failed } = batch.value ?? {};
  const finished = state === "finished" && given;

  useEffect(() => {
    const growing = batch.value?.source === "folder" ? EVERY_MS_OF_A_FOLDER : null;
    setEvery(finished ? growing : expected > MANY ? EVERY_MS_OF_MANY : EVERY_MS);
  }, [finished, expected > MANY]);
  useEffect(() => {
    if (!finished || done === undefined || failed === undefined) return;
    void keep.update(id, { state: "finished", done, failed });
    void keep.dropFiles(id);
  }, [finished, done, failed]);

  return (
    <Shown of={batch} label="The batch">
      {(value) => (
        <>
          <About of={value} />
          <Progress of={value} told={told} finished={finished} />
          {uploads && told && <Uploading uploads={uploads} told={told} of={value} />}
          {uploads === null && state === "open" && <Open of={value} onClosed={batch.reload} />}
          <Outcome of={value} finished={finished} />
        </>
      )}
    </Shown>
  );
}
