/** One batch: its uploads, its progress, and its results. */
import { useEffect, useState } from "preact/hooks";
import { api, ask } from "../../api/client";
import { MAX_ITEMS, MAX_ROWS } from "../../api/limits";
import { admin, config, token } from "../../api/session";
import { useLoad } from "../../api/use-load";
import { count, dateTime, duration, plural, time } from "../../format";
import { decisions } from "../../store/decided";
import { learn } from "../../store/model";
import { announce } from "../../ui/announce";
import { Code } from "../../ui/code";
import { Figure, Figures } from "../../ui/figure";
import { Notify } from "../../ui/notify";
import { ofBatch } from "../../ui/snippets";
import { Shown, Working } from "../../ui/state";
import { useTitle } from "../../ui/tab-title";
import type { Row } from "./csv";
import * as kept from "./kept";
import { type Batch, endText, milestone, progressText, rateText, titleOf } from "./progress-text";
import { Results } from "./results";
import { Title } from "./title";
import { Open, Uploading } from "./uploading";
import { type Progress as Uploaded, type Uploads, uploadsOf } from "./uploads";

/** Milliseconds between two polls; the service counts all rows each time: a second for 10,000. */
const EVERY_MS = 1_500;
const EVERY_MS_OF_MANY = 5_000;
const MANY = 2_000;
/** A folder of the inbox is never closed: its page shows files that are added later. */
const EVERY_MS_OF_A_FOLDER = 10_000;

function About({ of }: { of: Batch }) {
  return (
    <p class="about hint">
      {plural(of.expected, "file")}, started {dateTime(of.created)}
      {of.source === "folder" && (
        <>
          . New files in <code>{of.drop_folder}</code> are added
        </>
      )}
      .
    </p>
  );
}

const share = (part: number, of: number) => ({ width: `${(100 * part) / Math.max(1, of)}%` });

function Progress({
  of,
  uploads,
  finished,
}: {
  of: Batch;
  uploads?: Uploaded | undefined;
  finished: boolean;
}) {
  const { expected, done, failed, rate, seconds_left: left, created, finished: end } = of;
  const over = done + failed;
  const reached = finished ? 100 : milestone(over, expected);
  const text = progressText(of);
  useEffect(() => {
    if (reached > 0) announce(text);
  }, [reached]);
  const seconds = end && (new Date(end).getTime() - new Date(created).getTime()) / 1000;
  return (
    <section aria-labelledby="progress">
      <h2 id="progress">{finished ? "Finished" : "Progress"}</h2>
      <Figures>
        {!finished && uploads && uploads.phase !== "elsewhere" && (
          <Figure label="Uploaded" value={count(uploads.sent)} note={`of ${count(expected)}`} />
        )}
        <Figure
          label="Done"
          value={count(done)}
          note={`of ${count(expected)}`}
          tone={finished ? "good" : undefined}
        />
        <Figure
          label="Failed"
          value={count(failed)}
          tone={failed > 0 ? "bad" : undefined}
          note={failed > 0 ? "reasons below" : finished ? "none" : "none so far"}
        />
        <Figure
          label="Rate"
          value={rateText(rate)}
          note={finished ? "images a second, on average" : "images a second"}
        />
        {finished ? (
          <Figure label="Duration" value={duration(seconds || null)} note="start to finish" />
        ) : (
          <Figure label="Time left" value={duration(left)} note="at this rate" />
        )}
      </Figures>
      {!finished && (
        <>
          <div
            class="stages"
            role="progressbar"
            aria-label="Files done"
            aria-valuemin={0}
            aria-valuemax={expected}
            aria-valuenow={over}
            aria-valuetext={text}
          >
            <div
              class="stage uploaded"
              style={share(Math.max(uploads?.sent ?? 0, over), expected)}
            />
            <div class="stage predicted" style={share(over, expected)} />
            <div class="stage failed" style={share(failed, expected)} />
          </div>
          <ul class="stages-key hint" aria-hidden="true">
            {uploads && <li class="uploaded">uploaded</li>}
            <li class="predicted">done</li>
            <li class="failed">failed</li>
          </ul>
        </>
      )}
      <Notify over={finished ? endText(of) : null} />
    </section>
  );
}

/** All rows so far; calls `onRows` with how many have been loaded. */
async function rowsOf(
  batch: string,
  onRows: (rows: number) => void,
  signal: AbortSignal,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const page = await ask(
      api().GET("/batches/{batch}/results", {
        params: {
          path: { batch },
          query: { limit: MAX_ROWS, links: admin.value, ...(cursor ? { cursor } : {}) },
        },
        signal,
      }),
    );
    if (typeof page === "string" || "url" in page) break; // The formats CSV and link, which were not requested.
    rows.push(...page.items);
    onRows(rows.length);
    cursor = page.next;
  }
  const version = rows.find((row) => row.model_version)?.model_version;
  if (version) await learn(version).catch(() => undefined);
  return rows;
}

/** A picture of the service; none once its link has ended. */
async function pictureAt(url: string): Promise<Blob | undefined> {
  const reply = await fetch(url);
  return reply.ok ? reply.blob() : undefined;
}

/** Take over the labels that the images of a batch have been given; a failure leaves them out. */
async function readDecisions(batch: string, rows: readonly Row[], signal: AbortSignal) {
  const names = new Map(rows.map(({ id, file }) => [id, file]));
  for (let cursor: string | null | undefined; cursor !== null; ) {
    const query = { batch, limit: MAX_ITEMS, ...(cursor ? { cursor } : {}) };
    const page = await ask(api().GET("/review/decisions", { params: { query }, signal }));
    decisions.learn(page.items.map((one) => ({ ...one, name: names.get(one.id) ?? "" })));
    cursor = page.next;
  }
}

/** Have the browser download the CSV, which the service writes. */
async function save(batch: string, bom: boolean): Promise<void> {
  const link = await ask(
    api().GET("/batches/{batch}/results", {
      params: { path: { batch }, query: { format: "link", bom } },
    }),
  );
  if (typeof link === "object" && "url" in link) location.assign(link.url);
}

function Rows({ batch, of, finished }: { batch: string; of: number; finished: boolean }) {
  const [fetched, setFetched] = useState(0);
  const rows = useLoad(
    async (signal) => ({
      all: await rowsOf(batch, setFetched, signal),
      // The browser that began the batch has its pictures; an admin gets those of the service.
      pictures: admin.value || (await kept.find(batch)) !== undefined,
    }),
    [finished],
  );
  const picture = async (row: Row) =>
    (await kept.thumbnail(batch, row.file)) ?? (row.url ? pictureAt(row.url) : undefined);
  const all = rows.value?.all;
  useEffect(() => {
    const stop = new AbortController();
    if (all) readDecisions(batch, all, stop.signal).catch(() => undefined);
    return () => stop.abort();
  }, [all]);
  if (!rows.value && !rows.problem) {
    return <Working label="Loading results …" done={fetched} total={of} />;
  }
  return (
    <Shown of={rows} label="Loading results">
      {({ all, pictures }) => (
        <>
          {!finished && (
            <p class="hint">
              As of {time(rows.at ?? Date.now())}. All results appear when the batch ends.{" "}
              <button type="button" class="link" onClick={rows.reload}>
                Refresh
              </button>
            </p>
          )}
          {all.length > 0 && (
            <Results
              rows={all}
              picture={pictures ? picture : null}
              judging={{ decisions, idOf: (place) => all[place]?.id ?? null }}
              save={(forExcel) => save(batch, forExcel)}
            />
          )}
        </>
      )}
    </Shown>
  );
}

/** All results once the batch has ended; before, those so far at the press of a button. */
function Outcome({ of, finished }: { of: Batch; finished: boolean }) {
  const [open, setOpen] = useState(false);
  const over = of.done + of.failed;
  if (finished || open) {
    return (
      <>
        <Rows batch={of.id} of={over} finished={finished} />
        {finished && <Code of={ofBatch(config.value.api, of.id)} secret />}
      </>
    );
  }
  if (over === 0) return null;
  return (
    <button type="button" class="secondary" onClick={() => setOpen(true)}>
      Show {plural(over, "result")} so far
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
    every !== EVERY_MS_OF_A_FOLDER,
  );
  useEffect(() => void uploadsOf(id).then((found) => setUploads(found ?? null)), []);
  const progress = uploads?.progress.value;
  const given = uploads === null || progress?.phase === "given";
  const { state, expected = 0, done, failed } = batch.value ?? {};
  const finished = state === "finished" && given;
  useTitle(batch.value ? titleOf(batch.value, finished) : null);

  useEffect(() => {
    const growing = batch.value?.source === "folder" ? EVERY_MS_OF_A_FOLDER : null;
    setEvery(finished ? growing : expected > MANY ? EVERY_MS_OF_MANY : EVERY_MS);
  }, [finished, expected > MANY]);
  useEffect(() => {
    if (!finished || done === undefined || failed === undefined) return;
    void kept.update(id, { state: "finished", done, failed });
    void kept.dropFiles(id);
  }, [finished, done, failed]);

  return (
    <Shown of={batch} label="Loading the batch">
      {(value) => (
        <>
          <Title batch={id} name={value.name} onChanged={batch.reload} />
          <About of={value} />
          <Progress of={value} uploads={progress} finished={finished} />
          {uploads && progress && <Uploading uploads={uploads} progress={progress} of={value} />}
          {uploads === null && state === "open" && <Open of={value} onClosed={batch.reload} />}
          <Outcome of={value} finished={finished} />
        </>
      )}
    </Shown>
  );
}
