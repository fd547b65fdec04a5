/** Models: the live one and its history, and trainings. */

import { useEffect, useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { api, ask } from "../../api/client";
import { useDataset } from "../../api/use-dataset";
import { useLoad } from "../../api/use-load";
import { refreshHealth } from "../../store/health";
import { useKeptScroll } from "../../ui/kept-scroll";
import { Shown } from "../../ui/state";
import { Private } from "../../ui/token";
import { addressOf } from "./address";
import { Audit } from "./audit";
import { Comparison } from "./compare";
import { Live } from "./live";
import "./models.css";
import { useList } from "../../api/use-list";
import { runUnderWay, type State } from "./progress";
import { Retrain } from "./retrain";
import { RunList, type Runs, UnderWay } from "./runs";
import { Upload } from "./upload";
import { Versions } from "./versions";

const SECTIONS = [
  { show: "versions", name: "Versions" },
  { show: "training", name: "Training" },
] as const;
type Part = (typeof SECTIONS)[number]["show"];

/** Milliseconds between polls of the runs: while one is active, and while none is. */
const BUSY_MS = 3_000;
const IDLE_MS = 20_000;

/** Versions on a page: the table has no more rows, however many versions there are. */
const ON_PAGE = 50;

/** Milliseconds until uploaded images are counted: the service checks them first. */
const COUNTED_MS = 5_000;

function Parts({ shown }: { shown: Part }) {
  return (
    <nav class="tabs" aria-label="Sections">
      {SECTIONS.map(({ show, name }) => (
        <a
          key={show}
          href={`/models?show=${show}`}
          {...(show === shown ? { "aria-current": "page" as const } : {})}
        >
          {name}
        </a>
      ))}
    </nav>
  );
}

function VersionsPart({ underWay }: { underWay: string | undefined }) {
  const { query, route } = useLocation();
  const history = useList(
    (page) => ask(api().GET("/promotions", page)),
    (one) => one.at,
  );
  const { find: q = "", starred, from: cursor } = query;
  const asked = [q, starred, cursor].join();
  const versions = useLoad(
    async (signal) => {
      const wanted = { q, starred: starred === "true", limit: ON_PAGE, ...(cursor && { cursor }) };
      return { asked, ...(await ask(api().GET("/models", { params: { query: wanted }, signal }))) };
    },
    [asked],
  );
  useKeptScroll(history.value !== undefined && versions.value?.asked === asked);
  const live = history.value?.live.version ?? "";
  const model = useLoad(
    async (signal) =>
      live
        ? ask(api().GET("/models/{version}", { params: { path: { version: live } }, signal }))
        : null,
    [live],
  );
  const picked = (query.compare ?? "").split(",").filter(Boolean).slice(0, 2);
  // A version's id begins with its date: the older one is "before", whichever was picked first.
  const [first, second] = [...picked].sort();
  const reload = () => {
    history.reload();
    versions.reload();
  };
  // When a run ends, another version may be live.
  const before = useRef(underWay);
  useEffect(() => {
    if (before.current !== underWay) reload();
    before.current = underWay;
  }, [underWay]);
  const changed = () => {
    reload();
    void refreshHealth();
    // After the dialog has closed: elements behind it cannot take the focus.
    requestAnimationFrame(() => document.getElementById("live")?.focus());
  };
  return (
    <Shown of={history} label="Loading the live model">
      {(promotions) => (
        <>
          <Live history={promotions} model={model} onChanged={changed} />
          <Versions
            of={versions}
            live={live}
            history={history.items}
            picked={picked}
            onPick={(some) =>
              route(addressOf(query, { show: "versions", compare: some.join(",") }), true)
            }
            onChanged={changed}
          />
          {first && (
            <section class="card" aria-labelledby="comparison">
              <h2 id="comparison">Comparison</h2>
              {second ? (
                <Comparison of={[first, second]} />
              ) : (
                <p class="hint">
                  <span class="id">{first}</span> is selected. Select another version to compare.
                </p>
              )}
            </section>
          )}
          <Audit of={history} />
        </>
      )}
    </Shown>
  );
}

function Begin({ runs }: { runs: Runs }) {
  const [counted, setCounted] = useState(0);
  const dataset = useDataset([counted, runUnderWay(runs.items)?.id]);
  const arrived = () => {
    runs.reload();
    setTimeout(() => setCounted((n) => n + 1), COUNTED_MS);
  };
  return (
    <div class="columns training">
      <Upload onEnd={arrived} />
      <Retrain runs={runs.items} dataset={dataset} onChanged={runs.reload} />
    </div>
  );
}

function TrainingPart({ runs }: { runs: Runs }) {
  const { query } = useLocation();
  const { find: q = "", state, from: cursor } = query;
  const asked = [q, state, cursor].join();
  const found = useLoad(
    async (signal) => {
      if (!q && !state && !cursor) return { asked, page: null };
      const wanted = { q, ...(state && { state: state as State }), ...(cursor && { cursor }) };
      return {
        asked,
        page: await ask(api().GET("/runs", { params: { query: wanted }, signal })),
      };
    },
    [asked],
  );
  useKeptScroll(runs.value !== undefined && found.value?.asked === asked);
  return (
    <>
      <Private of="admin" reason="Only an admin can add images or train.">
        {() => <Begin runs={runs} />}
      </Private>
      <RunList of={runs} found={found} />
    </>
  );
}

function Page() {
  const { query } = useLocation();
  const shown = SECTIONS.find(({ show }) => show === query.show)?.show ?? "versions";
  const [busy, setBusy] = useState(false);
  const runs = useList(
    (page) => ask(api().GET("/runs", page)),
    (one) => one.id,
    { every: busy ? BUSY_MS : IDLE_MS },
  );
  const underWay = runUnderWay(runs.items)?.id;
  if (busy !== (underWay !== undefined)) setBusy(!busy);
  return (
    <>
      <Parts shown={shown} />
      <UnderWay of={runs} />
      {shown === "versions" && <VersionsPart underWay={underWay} />}
      {shown === "training" && <TrainingPart runs={runs} />}
    </>
  );
}

export default function Models() {
  const { query, route } = useLocation();
  // Corrections have moved, and old links still arrive here.
  const moved = query.show === "corrections";
  useEffect(() => {
    if (moved) route("/review?show=corrections", true);
  }, [moved]);
  if (moved) return null;
  return (
    <div class="models">
      <h1 tabIndex={-1}>Models</h1>
      <Private reason="Sign in to see models.">{() => <Page />}</Private>
    </div>
  );
}
