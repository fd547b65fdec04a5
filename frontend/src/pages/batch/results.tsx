/** The results of a batch: a summary, and a table to sort, filter and download. */
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { asProblem, type Problem } from "../../api/problem";
import { config, member } from "../../api/session";
import { count, percent, plural } from "../../format";
import { announce } from "../../ui/announce";
import { Scroll } from "../../ui/scroll";
import { Empty, Failure } from "../../ui/state";
import { Tag } from "../../ui/verdict";
import { csv, type Row } from "./csv";
import { Judge, type Judging } from "./judge";
import { LABELS, Summary } from "./summary";
import { Thumbnail } from "./thumbnail";
import { type By, chosen, PAGE, queryOf, sortedBy, VERDICTS, type View, viewOf } from "./view";

/** Milliseconds without a change before the address follows: browsers limit changes a second. */
const SETTLE_MS = 300;

/** Last characters of a version's name, enough to tell versions apart. */
const SHORT = 6;

/** The view, kept in the address too. */
function useView(): [View, (change: Partial<View>) => void] {
  const { path, route } = useLocation();
  const [view, setView] = useState(() => viewOf(location.search));
  const query = queryOf(view);
  useEffect(() => {
    if (query === location.search) return;
    const timer = setTimeout(() => route(path + query, true), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [query]);
  // Other rows begin on their first page.
  return [view, (change) => setView((before) => ({ ...before, page: 1, ...change }))];
}

/** Saves all rows as CSV, for Excel or for other programs; throws Problem. */
export type Save = (forExcel: boolean) => Promise<void>;

/** Loads the picture of a row, by its file's name or its place. */
export type Picture = (row: Row, place: number) => Promise<Blob | undefined>;

function Heading({
  by,
  view,
  number = false,
  onSort,
  children,
}: {
  by: By;
  view: View;
  number?: boolean;
  onSort: (view: View) => void;
  children: string;
}) {
  const sorted = view.by === by;
  return (
    <th
      scope="col"
      class={number ? "number" : ""}
      aria-sort={sorted ? (view.descending ? "descending" : "ascending") : "none"}
    >
      <button type="button" class="sort" onClick={() => onSort(sortedBy(view, by))}>
        {children}
        <span aria-hidden="true">{sorted ? (view.descending ? "↓" : "↑") : "↕"}</span>
      </button>
    </th>
  );
}

function Line({
  row,
  place,
  load,
  judging,
}: {
  row: Row;
  place: number;
  load: (() => Promise<Blob | undefined>) | null;
  judging: Judging | null;
}) {
  const { prediction, probability, uncertain, model_version: version } = row;
  return (
    <tr>
      {load && (
        <td>
          <Thumbnail load={load} />
        </td>
      )}
      <th scope="row" class="file">
        {row.file}
        {row.error !== null && <small class="why">{row.error}</small>}
      </th>
      <td>
        {prediction !== null && uncertain !== null ? (
          <div class="judged">
            <Tag of={{ prediction, uncertain }} />
            {judging && (
              <Judge
                file={row.file}
                prediction={prediction}
                id={judging.idOf(place)}
                decisions={judging.decisions}
              />
            )}
          </div>
        ) : (
          <span class="tag failed">{LABELS.failed}</span>
        )}
      </td>
      <td class="number">{percent(probability, 1)}</td>
      {member.value && (
        <td class="model">
          {version ? (
            <a href={`/models/versions/${version}`} title={version}>
              {version.slice(-SHORT)}
            </a>
          ) : (
            <span class="hint">none</span>
          )}
        </td>
      )}
    </tr>
  );
}

function Pager({ view, of, onPage }: { view: View; of: number; onPage: (page: number) => void }) {
  const last = Math.max(1, Math.ceil(of / PAGE));
  const first = PAGE * (view.page - 1) + 1;
  if (last === 1) return <p class="pager hint">{plural(of, "file")}</p>;
  return (
    <nav class="row pager" aria-label="Pages of results">
      <button
        type="button"
        class="secondary small"
        disabled={view.page === 1}
        onClick={() => onPage(view.page - 1)}
      >
        Previous
      </button>
      <span>
        {count(first)} to {count(Math.min(of, first + PAGE - 1))} of {count(of)}
      </span>
      <button
        type="button"
        class="secondary small"
        disabled={view.page >= last}
        onClick={() => onPage(view.page + 1)}
      >
        Next
      </button>
    </nav>
  );
}

/** Save `rows` as a file of this browser. */
export function saveRows(rows: readonly Row[], forExcel: boolean): void {
  const url = URL.createObjectURL(
    new Blob([csv(rows, forExcel)], { type: "text/csv;charset=utf-8" }),
  );
  const link = document.createElement("a");
  link.href = url;
  link.download = "results.csv";
  link.click();
  URL.revokeObjectURL(url);
}

/** Saves the results as CSV: all of them, or those shown, in their order. */
function Download({ save, shown }: { save: Save; shown: readonly Row[] | null }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const [forExcel, setForExcel] = useState(false);
  const go = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      await save(forExcel);
      announce("Downloading the CSV");
    } catch (error) {
      setProblem(asProblem(error, config.value.api));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <button
        type="button"
        class="secondary small"
        aria-busy={busy}
        disabled={busy}
        onClick={() => void go()}
      >
        Download CSV
      </button>
      {shown && (
        <button
          type="button"
          class="secondary small"
          onClick={() => {
            saveRows(shown, forExcel);
            announce("Downloading the CSV");
          }}
        >
          Download the {plural(shown.length, "file")} shown
        </button>
      )}
      <label class="check small">
        <input
          type="checkbox"
          checked={forExcel}
          onChange={(event) => setForExcel(event.currentTarget.checked)}
        />
        For Excel
      </label>
      {problem && <Failure problem={problem} retry={() => void go()} />}
    </>
  );
}

function Table({
  rows,
  picture,
  judging,
  save,
}: {
  rows: readonly Row[];
  picture: Picture | null;
  judging: Judging | null;
  save: Save;
}) {
  const [view, setView] = useView();
  const places = useMemo(
    () => chosen(rows, view),
    [rows, view.verdict, view.name, view.by, view.descending],
  );
  const last = Math.max(1, Math.ceil(places.length / PAGE));
  const seen = { ...view, page: Math.min(view.page, last) };
  const shown = places.slice(PAGE * (seen.page - 1), PAGE * seen.page);
  const top = useRef<HTMLElement>(null);
  const turn = (page: number) => {
    setView({ page });
    top.current?.scrollIntoView();
    announce(`Page ${page} of ${last}`);
  };
  const filter = (change: Partial<View>) => {
    setView(change);
    announce(plural(chosen(rows, { ...view, ...change, by: null }).length, "file"));
  };
  return (
    <section ref={top} class="results" aria-labelledby="results">
      <div class="row apart">
        <h2 id="results">Results</h2>
        <div class="row">
          <Download
            save={save}
            shown={
              places.length > 0 && (view.verdict || view.name || view.by)
                ? places.map((place) => rows[place] as Row)
                : null
            }
          />
        </div>
      </div>
      <div class="row apart filters">
        <fieldset class="tabs">
          <legend class="unseen">Verdict</legend>
          {[null, ...VERDICTS].map((each) => (
            <button
              key={each}
              type="button"
              aria-pressed={view.verdict === each}
              onClick={() => filter({ verdict: each })}
            >
              {each ? LABELS[each] : "All"}
            </button>
          ))}
        </fieldset>
        <input
          type="search"
          aria-label="Filter by file name"
          placeholder="Filter by file name"
          value={view.name}
          onInput={(event) => filter({ name: event.currentTarget.value })}
        />
      </div>
      {places.length === 0 ? (
        <Empty title="No matches">
          <p>
            <button type="button" class="link" onClick={() => filter({ verdict: null, name: "" })}>
              Show all {plural(rows.length, "file")}
            </button>
          </p>
        </Empty>
      ) : (
        <>
          <Scroll label="Table of files">
            <table>
              <thead>
                <tr>
                  {picture && (
                    <th scope="col">
                      <span class="unseen">Picture</span>
                    </th>
                  )}
                  <Heading by="file" view={view} onSort={setView}>
                    File
                  </Heading>
                  <Heading by="verdict" view={view} onSort={setView}>
                    Verdict
                  </Heading>
                  <Heading by="probability" view={view} number onSort={setView}>
                    Clickbait
                  </Heading>
                  {member.value && (
                    <th scope="col" class="model">
                      Model
                    </th>
                  )}
                </tr>
              </thead>
              <tbody>
                {shown.map((place) => {
                  const row = rows[place] as Row;
                  return (
                    <Line
                      key={place}
                      row={row}
                      place={place}
                      load={picture && (() => picture(row, place))}
                      judging={judging}
                    />
                  );
                })}
              </tbody>
            </table>
          </Scroll>
          <Pager view={seen} of={places.length} onPage={turn} />
        </>
      )}
    </section>
  );
}

/**
 * `picture` is null if the rows have none, `judging` if their images cannot be labelled; `save` saves
 * the rows as CSV, or throws Problem.
 */
export function Results(of: {
  rows: readonly Row[];
  picture: Picture | null;
  judging: Judging | null;
  save: Save;
}) {
  return (
    <>
      <Summary rows={of.rows} />
      <Table {...of} />
    </>
  );
}
