/** Training runs, newest first: how each went, and why. */
import type { Schemas } from "../../api/client";
import { dateTime, duration } from "../../format";
import { Empty, Shown } from "../../ui/state";
import { More } from "./more";
import { plainly, RunName, StateTag, VersionName } from "./names";
import { ended, type Run, runUnderWay, TRIGGERS, tookSeconds } from "./progress";
import type { Listed } from "./use-list";

export type Runs = Listed<Run, Schemas["RunList"]>;

/** The run under way, on whatever part of the page one is. */
export function UnderWay({ of }: { of: Runs }) {
  const run = runUnderWay(of.items);
  if (!run) return null;
  return (
    <aside class="card under-way" aria-label="A training is under way">
      <StateTag of={run.state} />
      <p>{plainly(run.reason)}</p>
      <a href={`/models/runs/${run.id}`}>Follow it</a>
      {run.epoch && run.epochs ? (
        <progress aria-label="Epochs" value={run.epoch} max={run.epochs} />
      ) : (
        <progress aria-label="Waiting for the first epoch" />
      )}
    </aside>
  );
}

export function RunList({ of }: { of: Runs }) {
  return (
    <section aria-labelledby="runs">
      <h2 id="runs">Runs</h2>
      <Shown of={of} label="The runs">
        {() =>
          of.items.length === 0 ? (
            <Empty title="No training yet">
              <p>
                Upload labelled images above: when enough of them are new, a training starts by
                itself. Or start one now.
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
                      <time dateTime={run.created}>{dateTime(run.created)}</time>, for{" "}
                      {TRIGGERS[run.trigger]}, {ended(run.state) ? "took" : "under way for"}{" "}
                      {duration(tookSeconds(run, Date.now()))}
                    </span>
                  </div>
                  <p>{plainly(run.reason)}</p>
                  {run.version && (
                    <p class="hint">
                      Made <VersionName of={run.version} />
                    </p>
                  )}
                </li>
              ))}
            </ol>
          )
        }
      </Shown>
      <More of={of} label="Older runs" />
    </section>
  );
}
