/** Models: which one is live and why, how the next one is made, and what people say is wrong. */

import { useEffect, useRef, useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import { api, ask } from "../../api/client";
import { admin } from "../../api/session";
import { useLoad } from "../../api/use-load";
import { look } from "../../store/health";
import { Shown } from "../../ui/state";
import { Private } from "../../ui/token";
import { Audit } from "./audit";
import { Comparison } from "./compare";
import { Corrections } from "./feedback";
import { Live } from "./live";
import "./models.css";
import { runUnderWay } from "./progress";
import { Retrain } from "./retrain";
import { RunList, type Runs, UnderWay } from "./runs";
import { Upload } from "./upload";
import { useList } from "./use-list";
import { Versions } from "./versions";

const PARTS = [
  { show: "versions", name: "Versions" },
  { show: "training", name: "Training" },
  { show: "corrections", name: "Corrections" },
] as const;
type Part = (typeof PARTS)[number]["show"];

/** Milliseconds between looks at the runs: while one is under way, and while none is. */
const BUSY_MS = 3_000;
const IDLE_MS = 20_000;

/** Milliseconds until images that have arrived are counted: the service looks at them first. */
const COUNTED_MS = 5_000;

function Parts({ shown, waiting }: { shown: Part; waiting: string }) {
  return (
    <nav class="tabs" aria-label="Parts of this page">
      {PARTS.map(({ show, name }) => (
        <a
          key={show}
          href={`/models?show=${show}`}
          {...(show === shown ? { "aria-current": "page" as const } : {})}
        >
          {name}
          {show === "corrections" && waiting && <span class="badge">{waiting}</span>}
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
  const versions = useList(
    (page) => ask(api().GET("/models", page)),
    (one) => one.version,
  );
  const live = history.value?.live.version ?? "";
  const model = useLoad(
    async (signal) =>
      live
        ? ask(api().GET("/models/{version}", { params: { path: { version: live } }, signal }))
        : null,
    [live],
  );
  const picked = (query.compare ?? "").split(",").filter(Boolean).slice(0, 2);
  const [first, second] = picked;
  const reload = () => {
    history.reload();
    versions.reload();
  };
  // A run that has ended may have made another version live.
  const before = useRef(underWay);
  useEffect(() => {
    if (before.current !== underWay) reload();
    before.current = underWay;
  }, [underWay]);
  const changed = () => {
    reload();
    void look();
    // Not before the dialog is gone: what is behind it takes no focus.
    requestAnimationFrame(() => document.getElementById("live")?.focus());
  };
  return (
    <Shown of={history} label="The live model">
      {(told) => (
        <>
          <Live history={told} model={model} onChanged={changed} />
          <Versions
            of={versions}
            live={live}
            metrics={model.value?.metrics}
            history={history.items}
            picked={picked}
            onPick={(some) =>
              route(`/models?show=versions${some.length ? `&compare=${some.join(",")}` : ""}`, true)
            }
            onChanged={changed}
          />
          {first && (
            <section class="card" aria-labelledby="comparison">
              <h2 id="comparison">Side by side</h2>
              {second ? (
                <Comparison of={[first, second]} />
              ) : (
                <p class="hint">
                  <span class="id">{first}</span> is picked. Pick another one to compare it with.
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
  const waiting = useLoad(
    async (signal) => (await ask(api().GET("/dataset", { signal }))).waiting,
    [counted, runUnderWay(runs.items)?.id],
  );
  const arrived = () => {
    runs.reload();
    setTimeout(() => setCounted((n) => n + 1), COUNTED_MS);
  };
  return (
    <div class="columns training">
      <Upload onEnd={arrived} />
      <Retrain runs={runs.items} waiting={waiting} onChanged={runs.reload} />
    </div>
  );
}

function TrainingPart({ runs }: { runs: Runs }) {
  return (
    <>
      <Private of="admin" reason="Adding images and starting a training are the admin’s.">
        {() => <Begin runs={runs} />}
      </Private>
      <RunList of={runs} />
    </>
  );
}

function Page() {
  const { query } = useLocation();
  const shown = PARTS.find(({ show }) => show === query.show)?.show ?? "versions";
  const [busy, setBusy] = useState(false);
  const runs = useList(
    (page) => ask(api().GET("/runs", page)),
    (one) => one.id,
    { every: busy ? BUSY_MS : IDLE_MS },
  );
  const underWay = runUnderWay(runs.items)?.id;
  if (busy !== (underWay !== undefined)) setBusy(!busy);
  const corrections = useList(
    async (page) =>
      admin.value ? ask(api().GET("/feedback", page)) : { items: [], count: 0, next: null },
    (one) => one.id,
    { order: "oldest", deps: [admin.value] },
  );
  const waiting = corrections.items.length;
  return (
    <>
      <Parts shown={shown} waiting={waiting ? `${waiting}${corrections.more ? "+" : ""}` : ""} />
      <UnderWay of={runs} />
      {shown === "versions" && <VersionsPart underWay={underWay} />}
      {shown === "training" && <TrainingPart runs={runs} />}
      {shown === "corrections" && (
        <Private of="admin" reason="What becomes training data is the admin’s decision.">
          {() => <Corrections of={corrections} />}
        </Private>
      )}
    </>
  );
}

export default function Models() {
  return (
    <div class="models">
      <h1 tabIndex={-1}>Models</h1>
      <Private reason="Which models there are, and who decided what, is not for everybody.">
        {() => <Page />}
      </Private>
    </div>
  );
}
