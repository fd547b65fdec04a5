/** Training runs, newest first: the outcome of each, and why. */
import type { Schemas } from "../../api/client";
import type { Listed } from "../../api/use-list";
import { dateTime, duration } from "../../format";
import { MoreButton } from "../../ui/more-button";
import { Empty, Shown } from "../../ui/state";
import { headline, improvementOf, METHODS } from "./improvement";
import { plainly, RunName, StateTag, VersionName } from "./names";
import { ended, type Run, runUnderWay, TRIGGERS, tookSeconds } from "./progress";

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
      {improvement && <p class="run-headline">{headline(improvement)}</p>}
      <p>{plainly(run.reason)}</p>
    </>
  );
}

export function RunList({ of }: { of: Runs }) {
  return (
    <section aria-labelledby="runs">
      <h2 id="runs">Training runs</h2>
      <Shown of={of} label="Loading runs">
        {() =>
          of.items.length === 0 ? (
            <Empty title="No trainings yet">
              <p>
                Upload labelled images above. Training starts by itself once enough are new, or
                press Start training.
              </p>
            </Empty>
          ) : (
            <ol class="runs">
              {of.items.map((run) => (
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
      <MoreButton of={of} label="Show older runs" />
    </section>
  );
}
