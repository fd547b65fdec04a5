/** Review: label images that the model is unsure about, one by one or many at once; corrections. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { api, ask } from "../../api/client";
import { admin, token } from "../../api/session";
import { useList } from "../../api/use-list";
import { useLoad } from "../../api/use-load";
import { count, plural } from "../../format";
import { decisions } from "../../store/decided";
import { Empty, Failure, Working } from "../../ui/state";
import { Private } from "../../ui/token";
import { Corrections } from "./corrections";
import { Grid } from "./grid";
import { Key, KeyHelp, useKeys } from "./keys";
import { One } from "./one";
import "./review.css";
import { Saving } from "./saving";
import { queue, useFeed } from "./session";
import { ORDERS, type Order, SOURCES, type Source } from "./words";

const PARTS = [
  { show: "one", name: "One by one" },
  { show: "grid", name: "Grid" },
  { show: "corrections", name: "Corrections" },
] as const;
type Part = (typeof PARTS)[number]["show"];

const KEYS = [
  ["1", "Clickbait"],
  ["2", "Legitimate"],
] as const;
const KEYS_OF_ONE = [
  ...KEYS,
  ["space", "Skip: decide later"],
  ["z", "Undo, as often as you like"],
  ["h", "Show or hide the heat map"],
  ["?", "These keys"],
] as const;
const KEYS_OF_GRID = [
  ["arrows", "Move; with shift, select"],
  ["space", "Select; with shift, all from the last one"],
  ["a", "Select all"],
  ["Esc", "Select none"],
  ...KEYS,
  ["z", "Undo, as often as you like"],
  ["?", "These keys"],
] as const;

const known = <T extends string>(names: Readonly<Record<T, string>>, value = ""): T | null =>
  value in names ? (value as T) : null;

/** The address of a view; what is the default is left out. */
function addressOf(show: Part, source: Source | null, order: Order): string {
  const query = new URLSearchParams({
    ...(show === "one" ? {} : { show }),
    ...(source ? { source } : {}),
    ...(order === "unsure" ? {} : { order }),
  }).toString();
  return `/review${query && `?${query}`}`;
}

function Filters({
  source,
  order,
  onChange,
}: {
  source: Source | null;
  order: Order;
  onChange: (source: Source | null, order: Order) => void;
}) {
  return (
    <>
      <select
        aria-label="Source"
        value={source ?? "all"}
        onChange={(event) => onChange(known(SOURCES, event.currentTarget.value), order)}
      >
        <option value="all">All sources</option>
        {/* Only an admin may see training images and single predictions. */}
        {Object.entries(SOURCES)
          .filter(([value]) => admin.value || value === "batch")
          .map(([value, name]) => (
            <option key={value} value={value}>
              {name}
            </option>
          ))}
      </select>
      <select
        aria-label="Order"
        value={order}
        onChange={(event) => onChange(source, known(ORDERS, event.currentTarget.value) ?? "unsure")}
      >
        {Object.entries(ORDERS).map(([value, name]) => (
          <option key={value} value={value}>
            {name}
          </option>
        ))}
      </select>
    </>
  );
}

/** The labels given in this tab, and what happens to them next. */
function Progress() {
  const dataset = useLoad(
    async (signal) => {
      const { waiting } = await ask(api().GET("/dataset", { signal }));
      return { waiting: waiting.images, counted: trained() };
    },
    [token.value],
  );
  const { value } = dataset;
  // Images that were labelled after the count are new too.
  const waiting = value && value.waiting + trained() - value.counted;
  return (
    <p class="hint">
      {count(queue.reviewed)} reviewed
      {queue.skipped > 0 && `, ${count(queue.skipped)} skipped`}
      {waiting !== undefined &&
        waiting > 0 &&
        `. ${plural(waiting, "new image")} ${waiting === 1 ? "waits" : "wait"} for a training`}
      .{" "}
      {admin.value
        ? "Your labels are used by the next training."
        : "An admin decides on your labels before a training uses them."}
      {decisions.waiting > 0 && !decisions.problem.value && (
        <span class="saving"> Saving {count(decisions.waiting)} …</span>
      )}
    </p>
  );
}

/** Labels of this tab that the next training uses. */
const trained = () =>
  [...decisions.all.value.values()].filter(({ saved, outcome }) => saved && outcome === "training")
    .length;

function Nothing({
  source,
  all,
  reload,
}: {
  source: Source | null;
  all: () => void;
  reload: () => void;
}) {
  const skipped = queue.skipped;
  const buttons: ComponentChildren = (
    <p class="row center">
      {skipped > 0 && (
        <button type="button" class="small" onClick={() => queue.showSkipped()}>
          Show {plural(skipped, "skipped image")}
        </button>
      )}
      {source && (
        <button type="button" class="secondary small" onClick={all}>
          Show all sources
        </button>
      )}
      <button type="button" class="secondary small" onClick={reload}>
        Look again
      </button>
    </p>
  );
  return (
    <Empty title="Nothing to review">
      <p>
        Images appear here if the model is unsure about them, or disagrees with their label. They
        come from a <a href="/batch">batch</a>, from{" "}
        <a href="/models?show=training">training images</a>, and from single predictions if{" "}
        <code>KEEP_UNSURE</code> is set.
      </p>
      {buttons}
    </Empty>
  );
}

function Labelling({ show, source, order }: { show: Part; source: Source | null; order: Order }) {
  const { route } = useLocation();
  const feed = useFeed(source, order);
  const [help, setHelp] = useState(false);
  useKeys({ "?": () => setHelp(true) });
  const empty = queue.waiting.value.length === 0;
  // Buttons that come before the first image would jump.
  const first = empty && feed.loading && queue.acts.value.length === 0;
  return (
    <>
      <div class="row apart review-top">
        <div class="row">
          <Filters
            source={source}
            order={order}
            onChange={(source, order) => route(addressOf(show, source, order), true)}
          />
        </div>
        <button type="button" class="quiet small keys-button" onClick={() => setHelp(true)}>
          Keys <Key name="?" />
        </button>
      </div>
      <Saving />
      {feed.problem && <Failure problem={feed.problem} retry={feed.more ?? feed.reload} />}
      {empty && feed.loading && <Working label="Loading images to review …" />}
      {empty && !feed.loading && !feed.problem && (
        <Nothing
          source={source}
          all={() => route(addressOf(show, null, order), true)}
          reload={feed.reload}
        />
      )}
      {!first && (show === "grid" ? <Grid feed={feed} /> : <One />)}
      {!first && <Progress />}
      {help && (
        <KeyHelp
          keys={show === "grid" ? KEYS_OF_GRID : KEYS_OF_ONE}
          onClose={() => setHelp(false)}
        />
      )}
    </>
  );
}

function Page() {
  const { query } = useLocation();
  const show = PARTS.find((part) => part.show === query.show)?.show ?? "one";
  const source = known(SOURCES, query.source);
  const order = known(ORDERS, query.order) ?? "unsure";
  const corrections = useList(
    async (page) =>
      admin.value ? ask(api().GET("/feedback", page)) : { items: [], count: 0, next: null },
    (one) => one.id,
    { order: "oldest", deps: [admin.value] },
  );
  const waiting = corrections.items.length;
  return (
    <>
      <nav class="tabs" aria-label="Sections">
        {PARTS.map((part) => (
          <a
            key={part.show}
            href={addressOf(part.show, source, order)}
            {...(part.show === show ? { "aria-current": "page" as const } : {})}
          >
            {part.name}
            {part.show === "corrections" && waiting > 0 && (
              <span class="badge">
                {waiting}
                {corrections.more && "+"}
              </span>
            )}
          </a>
        ))}
      </nav>
      {show === "corrections" ? (
        <Private of="admin" reason="Only an admin can decide on corrections.">
          {() => <Corrections of={corrections} />}
        </Private>
      ) : (
        <Labelling show={show} source={source} order={order} />
      )}
    </>
  );
}

export default function Review() {
  return (
    <div class="review">
      <h1 tabIndex={-1}>Review</h1>
      <Private reason="Sign in to review images.">{() => <Page />}</Private>
    </div>
  );
}
