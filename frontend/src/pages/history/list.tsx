/** The list of past predictions, newest first, with filters in the address. */

import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { api, ask } from "../../api/client";
import { useList } from "../../api/use-list";
import { dateTime } from "../../format";
import { status } from "../../store/health";
import { MoreButton } from "../../ui/more-button";
import { Predictions } from "../../ui/predictions";
import { SOURCES } from "../../ui/source";
import { Empty, Shown } from "../../ui/state";
import { addressOf, type Filters, filtersOf, queryOf, VERDICTS } from "./filters";

const PAGE = 50;

/** Days that the service keeps a prediction. */
const DAYS = 30;

/** YYYY-MM-DD in UTC, which is how the service divides the log. */
const dayAgo = (days: number): string =>
  new Date(Date.now() - days * 86_400_000).toISOString().slice(0, 10);

function Select<T extends string>({
  label,
  all,
  options,
  value,
  onChange,
}: {
  label: string;
  all: string;
  options: Record<T, string>;
  value: T | null;
  onChange: (value: T | null) => void;
}) {
  return (
    <label>
      {label}
      <select
        value={value ?? ""}
        onChange={(event) => onChange((event.currentTarget.value || null) as T | null)}
      >
        <option value="">{all}</option>
        {Object.entries(options).map(([name, text]) => (
          <option key={name} value={name}>
            {text as string}
          </option>
        ))}
      </select>
    </label>
  );
}

/** A field that shows `value` when it changes. A render in between leaves what a person types. */
function useField(value: string) {
  const field = useRef<HTMLInputElement>(null);
  useLayoutEffect(() => {
    if (field.current) field.current.value = value;
  }, [value]);
  return field;
}

function FilterForm({ of, versions }: { of: Filters; versions: readonly string[] }) {
  const { route } = useLocation();
  const list = useId();
  const day = useField(of.day);
  const version = useField(of.version);
  const set = (change: Partial<Filters>) =>
    route(addressOf({ ...filtersOf(location.search), ...change }), true);
  return (
    <form class="history-filters" onSubmit={(event) => event.preventDefault()}>
      <Select
        label="Verdict"
        all="Any verdict"
        options={VERDICTS}
        value={of.verdict}
        onChange={(verdict) => set({ verdict })}
      />
      <Select
        label="Source"
        all="Any source"
        options={SOURCES}
        value={of.source}
        onChange={(source) => set({ source })}
      />
      <label>
        Day (UTC)
        <input
          type="date"
          min={dayAgo(DAYS)}
          max={dayAgo(0)}
          ref={day}
          onChange={(event) => set({ day: event.currentTarget.value })}
        />
      </label>
      <label>
        Model version
        <input
          type="search"
          list={list}
          maxLength={64}
          autocomplete="off"
          spellcheck={false}
          placeholder="Any version"
          ref={version}
          onChange={(event) => set({ version: event.currentTarget.value.trim() })}
        />
        <datalist id={list}>
          {versions.map((version) => (
            <option key={version} value={version} />
          ))}
        </datalist>
      </label>
      {of.batch && (
        <p>
          Only of batch <strong>{of.batch}</strong>{" "}
          <button type="button" class="secondary small" onClick={() => set({ batch: "" })}>
            All batches
          </button>
        </p>
      )}
    </form>
  );
}

function Found({
  of: filters,
  onVersions,
}: {
  of: Filters;
  onVersions: (versions: readonly string[]) => void;
}) {
  const searched = useRef<string | null>(null);
  const all = useList(
    async ({ params, signal }) => {
      const query = { limit: PAGE, ...queryOf(filters), ...params.query };
      const page = await ask(api().GET("/predictions", { params: { query }, signal }));
      searched.current = page.searched_to;
      return page;
    },
    ({ at, id }) => `${at} ${id}`,
  );
  const { items } = all;
  useEffect(() => onVersions(items.map((one) => one.model_version)), [items.length]);
  const filtered = Object.keys(queryOf(filters)).length > 0;
  return (
    <Shown of={all} label="Loading predictions">
      {() => (
        <>
          {all.items.length > 0 ? (
            <Predictions of={all.items} label="Table of predictions" whole />
          ) : (
            <Empty
              title={all.more ? "No match so far" : filtered ? "No match" : "No predictions yet"}
            >
              <p>
                {all.more
                  ? "None so far. There are older predictions to search."
                  : filtered
                    ? `No prediction of the last ${DAYS} days matches.`
                    : "Drop an image on Classify to make the first one."}
              </p>
            </Empty>
          )}
          <p class="hint">
            {searched.current
              ? `Searched back to ${dateTime(searched.current)}.`
              : `That is all. Predictions are kept for ${DAYS} days.`}
          </p>
          <MoreButton of={all} label={all.items.length > 0 ? "Show older" : "Search older"} />
        </>
      )}
    </Shown>
  );
}

export function Past() {
  const { url } = useLocation();
  const query = new URL(url, location.origin).search;
  const filters = filtersOf(query);
  const [seen, setSeen] = useState<readonly string[]>([]);
  const live = status.value?.model_version;
  const add = (versions: readonly string[]) =>
    setSeen((before) => [...new Set([...before, ...versions])]);
  return (
    <>
      <FilterForm of={filters} versions={[...new Set([...(live ? [live] : []), ...seen])]} />
      {/* The form stays, and with it the focus; the list of other filters is another list. */}
      <Found key={query} of={filters} onVersions={add} />
    </>
  );
}
