/** Browse all labelled images: filter, look, relabel, move to the exam, remove, undo. */
import { useEffect, useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { api, ask } from "../../../api/client";
import { admin } from "../../../api/session";
import { useLoad } from "../../../api/use-load";
import { className, count, plural } from "../../../format";
import { announce } from "../../../ui/announce";
import { Empty, Failure, Working } from "../../../ui/state";
import "./browse.css";
import { addressOf, type Filters, filtered, filtersOf, SHOWS, type Show } from "./filters";
import { Grid } from "./grid";
import { type Change, type Image, SIDES, type Side } from "./image";
import { EditButtons, Large } from "./large";
import { type Edits, useEdits } from "./use-edits";
import { useImages } from "./use-images";

/** Milliseconds without a key before a search begins. */
const SETTLE_MS = 300;

function Choose<T extends string>({
  label,
  value,
  options,
  onChange,
}: {
  label: string;
  value: T | null;
  options: readonly { value: T; text: string }[];
  onChange: (value: T | null) => void;
}) {
  return (
    <select
      aria-label={label}
      value={value ?? ""}
      onChange={(event) => onChange((event.currentTarget.value || null) as T | null)}
    >
      <option value="">{label}: all</option>
      {options.map((one) => (
        <option key={one.value} value={one.value}>
          {one.text}
        </option>
      ))}
    </select>
  );
}

const LABEL_OPTIONS = (["clickbait_fake", "clickbait_real"] as const).map((value) => ({
  value,
  text: className(value),
}));
const SIDE_OPTIONS = (Object.keys(SIDES) as Side[]).map((value) => ({
  value,
  text: SIDES[value],
}));

function Toolbar({ of, onChange }: { of: Filters; onChange: (change: Partial<Filters>) => void }) {
  const [q, setQ] = useState(of.q);
  // The search that this field has put into the address. Another one there replaces the text; its
  // own must not, because more may have been typed since.
  const own = useRef(of.q);
  useEffect(() => {
    if (of.q !== own.current) setQ(of.q);
    own.current = of.q;
  }, [of.q]);
  useEffect(() => {
    if (q === of.q) return;
    const timer = setTimeout(() => {
      own.current = q;
      onChange({ q });
    }, SETTLE_MS);
    return () => clearTimeout(timer);
  }, [q]);
  return (
    <search class="browse-filters">
      <fieldset class="tabs">
        <legend class="unseen">Show</legend>
        {([null, ...Object.keys(SHOWS)] as (Show | null)[]).map((show) => (
          <button
            key={show}
            type="button"
            aria-pressed={of.show === show}
            onClick={() => onChange({ show })}
          >
            {show ? SHOWS[show] : "All"}
          </button>
        ))}
      </fieldset>
      <div class="row">
        <Choose
          label="Label"
          value={of.label}
          options={LABEL_OPTIONS}
          onChange={(label) => onChange({ label })}
        />
        <Choose
          label="Split"
          value={of.side}
          options={SIDE_OPTIONS}
          onChange={(side) => onChange({ side })}
        />
        <input
          type="search"
          aria-label="Search by name"
          placeholder="Search by name"
          value={q}
          onInput={(event) => setQ(event.currentTarget.value)}
        />
      </div>
    </search>
  );
}

/** The last edit with its undo, or why it failed. */
function Status({ of }: { of: Edits }) {
  const { last, problem, refused } = of;
  return (
    <>
      {problem && <Failure problem={problem} />}
      {refused.length > 0 && (
        <p class="notice-line">
          Not changed: {refused.map(({ name, why }) => `${name} (${why})`).join(", ")}
        </p>
      )}
      {last && (
        <div class="row undo">
          <span>{last.text}</span>
          <button
            type="button"
            class="secondary small"
            aria-keyshortcuts="z"
            disabled={of.busy}
            onClick={of.undo}
          >
            Undo{" "}
            <span class="key" aria-hidden="true">
              z
            </span>
          </button>
        </div>
      )}
    </>
  );
}

/** How many images there are in all; the list knows only those that it has loaded. */
function Counts() {
  const { value } = useLoad((signal) => ask(api().GET("/dataset", { signal })), []);
  if (!value) return null;
  const parts = Object.entries(value.counts).map(
    ([label, n]) => `${count(n)} ${className(label).toLowerCase()}`,
  );
  return <>In training: {parts.join(", ")}. Listed: </>;
}

function Keys() {
  return (
    <details class="keys-help">
      <summary>Keys</summary>
      <p class="hint">
        Arrows move, <kbd>Enter</kbd> opens, <kbd>Space</kbd> selects, <kbd>1</kbd> clickbait,{" "}
        <kbd>2</kbd> legitimate, <kbd>e</kbd> exam, <kbd>Del</kbd> removes, <kbd>z</kbd> undoes,{" "}
        <kbd>Esc</kbd> clears the selection. With a selection they change all of it.
      </p>
    </details>
  );
}

function Listed({ filters, onClear }: { filters: Filters; onClear: () => void }) {
  const images = useImages(filters);
  const [active, setActive] = useState(0);
  const [open, setOpen] = useState(false);
  const [picked, setPicked] = useState<ReadonlySet<string>>(new Set());
  const anchor = useRef(0);
  const { items } = images;
  // What was edited is done: it is no longer selected.
  const edits = useEdits(images, (ids) =>
    setPicked((before) => new Set([...before].filter((id) => !ids.has(id)))),
  );
  const at = Math.min(active, items.length - 1);
  const image: Image | undefined = items[at];
  const large = open && image !== undefined;
  const found = images.loading && items.length === 0 ? null : items.length;
  useEffect(() => {
    if (found !== null) announce(`${plural(found, "image")}${images.complete ? "" : " or more"}`);
  }, [found === null, images.complete]);

  const chosen = (): readonly Image[] => {
    const some = !large && picked.size > 0;
    const all = some ? items.filter(({ id }) => picked.has(id)) : image ? [image] : [];
    return all.filter(({ rejected }) => !rejected);
  };
  const change = (one: Change) => edits.apply(chosen(), one);
  const pick = (to: number, through: boolean) => {
    const one = items[to];
    if (!one || one.rejected || !admin.value) return;
    const next = new Set(picked);
    if (through) {
      const [from, end] = [Math.min(anchor.current, to), Math.max(anchor.current, to)];
      for (const each of items.slice(from, end + 1)) next.add(each.id);
    } else if (!next.delete(one.id)) next.add(one.id);
    anchor.current = to;
    setPicked(next);
    announce(`${count(next.size)} selected`);
  };
  const onKey = (event: KeyboardEvent): boolean => {
    if (!admin.value) return false;
    if (event.ctrlKey || event.metaKey) {
      if (event.key !== "a" || large) return false;
      setPicked(new Set(items.map(({ id }) => id)));
      announce(`${count(items.length)} selected`);
      return true;
    }
    const [first] = chosen();
    const moves: Record<string, Change | undefined> = {
      "1": { label: "clickbait_fake" },
      "2": { label: "clickbait_real" },
      e: first && { folder: first.folder === "exam" ? "train" : "exam" },
      Delete: { remove: true },
      Backspace: { remove: true },
    };
    const one = moves[event.key];
    if (one && !event.altKey) change(one);
    else if (event.key === "z") edits.undo();
    else if (event.key === "Escape" && !large && picked.size > 0) setPicked(new Set());
    else return false;
    return true;
  };
  const step = (by: 1 | -1) => {
    const to = at + by;
    if (to < 0) return;
    if (to >= items.length - 1) images.more();
    if (to < items.length) {
      setActive(to);
      announce(items[to]!.name);
    }
  };

  if (items.length === 0 && images.complete && !images.problem && !edits.last) {
    return filtered(filters) ? (
      <Empty title="No matches">
        <button type="button" class="link" onClick={onClear}>
          Show all images
        </button>
      </Empty>
    ) : (
      <Empty title="No labelled images yet">
        <p>
          Upload some on <a href="/models?show=training">Models</a>.
        </p>
      </Empty>
    );
  }
  const status = <Status of={edits} />;
  return (
    <>
      <div class="row apart browse-counts">
        <p class="hint">
          <Counts />
          {found !== null && (
            <>
              <strong>{plural(found, "image")}</strong>
              {!images.complete && " so far; scroll for more"}
            </>
          )}
        </p>
        {admin.value ? (
          <Keys />
        ) : (
          <p class="hint">Only an admin sees the pictures and can change labels.</p>
        )}
      </div>
      {images.problem && <Failure problem={images.problem} retry={images.reload} />}
      <Grid
        items={items}
        complete={images.complete}
        active={at}
        picked={picked}
        onActive={setActive}
        onOpen={(to) => {
          setActive(to);
          if (items[to]) setOpen(true);
        }}
        onPick={pick}
        onKey={onKey}
        onEnd={images.more}
        onBroken={images.renew}
      />
      {images.loading && <Working label="Loading images …" />}
      {(picked.size > 0 || edits.last || edits.problem || edits.refused.length > 0) && !large && (
        <section class="card browse-bar" aria-label="Selection and undo">
          {picked.size > 0 && (
            <div class="row">
              <strong>{count(picked.size)} selected</strong>
              <EditButtons of={null} busy={edits.busy} onChange={change} />
              {picked.size < items.length && (
                <button
                  type="button"
                  class="quiet small"
                  onClick={() => setPicked(new Set(items.map(({ id }) => id)))}
                >
                  Select all {count(items.length)}
                </button>
              )}
              <button type="button" class="quiet small" onClick={() => setPicked(new Set())}>
                Clear
              </button>
            </div>
          )}
          {status}
        </section>
      )}
      {large && (
        <Large
          key="large"
          of={image}
          place={`${count(at + 1)} of ${count(found)}`}
          busy={edits.busy}
          status={status}
          onStep={step}
          onChange={change}
          onKey={onKey}
          onClose={() => setOpen(false)}
          onBroken={() => images.renew(image.id)}
        />
      )}
    </>
  );
}

export function Browse() {
  const { url, route } = useLocation();
  const filters = filtersOf(url.split("?")[1] ?? "");
  // The address may have changed since this was drawn: a search waits for the next key.
  const change = (some: Partial<Filters>) =>
    route(addressOf({ ...filtersOf(location.search), ...some }), true);
  const clear = () => change({ label: null, side: null, show: null, q: "" });
  return (
    <>
      <div class="row apart browse-head">
        <Toolbar of={filters} onChange={change} />
        <a href="/data?show=changes">List of changes</a>
      </div>
      {/* Other filters begin with nothing selected. */}
      <Listed key={JSON.stringify(filters)} filters={filters} onClear={clear} />
    </>
  );
}
