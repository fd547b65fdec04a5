/** Training runs, newest first: the outcome of each, and why. */

import { useLocation } from "preact-iso";
import type { Schemas } from "../../api/client";
import type { Listed } from "../../api/use-list";
import type { Loaded } from "../../api/use-load";
import { dateTime, duration } from "../../format";
import { Empty, Shown } from "../../ui/state";
import { searched } from "./address";
import { Find, Pages } from "./find";
import { Warnings } from "./improved";
import { headline, improvementOf, METHODS, unsureText, worldText } from "./improvement";
import { plainly, RunName, StateTag, VersionName } from "./names";
import { ended, type Run, runUnderWay, STATES, TRIGGERS, tookSeconds } from "./progress";

export type Runs = Listed<Run, Schemas["RunList"]>;

/** The active run, in every section of the page. */
export function UnderWay({ of }: { of: Runs }) {
  const run = runUnderWay(of.items);
  if (!run) return null;
  return (
    <aside class="card under-way" aria-label="Active training">
      <StateTag of={run.state} />
      <p>{plainly(run.reason)}</p>
      <a href={`/models/runs/${run.id}`}>Show progress</a>
      {run.epoch && run.epochs ? (
        <progress aria-label="Epochs" value={run.epoch} max={run.epochs} />
      ) : (
        <progress
          aria-label={run.method === "small_update" ? "Learning" : "Waiting for the first epoch"}
        />
      )}
    </aside>
  );
}

function Outcome({ of: run }: { of: Run }) {
  const improvement = ended(run.state) ? improvementOf(run.gate) : null;
  return (
    <>
      {improvement && (
        <>
          <p class="run-headline">{headline(improvement)}</p>
          <p>
            {unsureText(improvement)} {improvement.world && worldText(improvement.world)}
          </p>
        </>
      )}
      {/* The reason for a new live model is these figures. */}
      {(!improvement || run.state !== "PROMOTED") && <p>{plainly(run.reason)}</p>}
      {improvement && <Warnings of={improvement.warnings} />}
    </>
  );
}

/** `found`: one page of a search or of older runs; its `page` is null for the newest, in `of`. */
export function RunList({
  of,
  found,
}: {
  of: Runs;
  found: Loaded<{ page: Schemas["RunList"] | null }>;
}) {
  const { query, route } = useLocation();
  const newest = found.value?.page === null;
  const page = newest ? of.value : found.value?.page;
  // The newest are kept fresh while one of them goes on.
  const shown = page?.items ?? [];
  return (
    <section aria-labelledby="runs">
      <h2 id="runs">Training runs</h2>
      <Find label="Find a run by date or reason">
        <select
          aria-label="State"
          value={query.state ?? ""}
          onChange={(event) => route(searched(query, { state: event.currentTarget.value }), true)}
        >
          <option value="">Any state</option>
          {Object.entries(STATES).map(([state, name]) => (
            <option key={state} value={state}>
              {name}
            </option>
          ))}
        </select>
      </Find>
      <Shown of={(newest ? of : found) as Loaded<unknown>} label="Loading runs">
        {() =>
          shown.length === 0 && !newest ? (
            <Empty title="No run found">
              {page?.next && <p>Older runs have not been searched yet.</p>}
            </Empty>
          ) : shown.length === 0 ? (
            <Empty title="No trainings yet">
              <p>
                Upload labelled images above. Training starts by itself once enough are new, or
                press Start training.
              </p>
            </Empty>
          ) : (
            <ol class="runs">
              {shown.map((run) => (
                <li key={run.id} class="card">
                  <div class="row">
                    <StateTag of={run.state} />
                    <RunName of={run.id} />
                    <span class="hint run-when">
                      {METHODS[run.method]},{" "}
                      <time dateTime={run.created}>{dateTime(run.created)}</time>, started by{" "}
                      {TRIGGERS[run.trigger]}, {ended(run.state) ? "took" : "running for"}{" "}
                      {duration(tookSeconds(run, Date.now()))}
                    </span>
                  </div>
                  <Outcome of={run} />
                  {run.version && (
                    <p class="hint">
                      Version <VersionName of={run.version} />
                    </p>
                  )}
                </li>
              ))}
            </ol>
          )
        }
      </Shown>
      <Pages of="runs" next={page?.next} />
    </section>
  );
}
