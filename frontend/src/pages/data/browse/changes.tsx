/** Changes to the labelled images, newest first, each with who made it. Each can be undone. */
import { useState } from "preact/hooks";
import { asProblem, type Problem } from "../../../api/problem";
import { admin, config } from "../../../api/session";
import { useList } from "../../../api/use-list";
import { className, dateTime } from "../../../format";
import { announce } from "../../../ui/announce";
import { MoreButton } from "../../../ui/more-button";
import { Empty, Failure, Shown } from "../../../ui/state";
import { By } from "../../models/names";
import { fileOf } from "../descriptions";
import "./browse.css";
import { listChanges, type Made, undoChange } from "./service";

/** "clickbait → legitimate", "moved to the exam", "removed". */
export function changeText({ action, before, after }: Made): string {
  const name = (label: string | null | undefined) => className(label).toLowerCase();
  if (action === "relabelled") return `${name(before?.label)} → ${name(after?.label)}`;
  if (action === "confirmed") return `confirmed as ${name(after?.label)}`;
  if (action === "added") return `added as ${name(after?.label)}`;
  if (action === "removed") return "removed";
  return after?.folder === "exam" ? "moved to the exam" : "moved to training";
}

function Line({ of, onUndone }: { of: Made; onUndone: () => void }) {
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<Problem>();
  const name = fileOf(of.key);
  const undo = async () => {
    setBusy(true);
    setProblem(undefined);
    try {
      await undoChange(of.id);
      announce(`Undone: ${name}`);
      onUndone();
    } catch (error) {
      const failed = asProblem(error, config.value.api);
      setProblem(failed);
      announce(`${failed.title}. ${failed.detail}`);
    } finally {
      setBusy(false);
    }
  };
  return (
    <li class="change">
      <div>
        <strong class="name">{name}</strong> {changeText(of)}
        <small>
          <time dateTime={of.at}>{dateTime(of.at)}</time>, by <By whom={of.by} />
        </small>
        {problem && <Failure problem={problem} />}
      </div>
      {of.undone ? (
        <small>Undone</small>
      ) : (
        admin.value && (
          <button
            type="button"
            class="secondary small"
            aria-label={`Undo: ${name} ${changeText(of)}`}
            aria-busy={busy}
            disabled={busy}
            onClick={() => void undo()}
          >
            Undo
          </button>
        )
      )}
    </li>
  );
}

export function Changes() {
  const list = useList(listChanges, (one) => one.id);
  return (
    <section aria-labelledby="changes">
      <div class="row apart">
        <h2 id="changes" tabIndex={-1}>
          Changes
        </h2>
        <a href="/data?show=browse">Back to the images</a>
      </div>
      <Shown of={list} label="Loading changes">
        {() =>
          list.items.length === 0 ? (
            <Empty title="No changes yet">
              <p>Labels that you change and images that you remove are listed here.</p>
            </Empty>
          ) : (
            <ul class="changes card">
              {list.items.map((one) => (
                <Line key={one.id} of={one} onUndone={list.reload} />
              ))}
            </ul>
          )
        }
      </Shown>
      <MoreButton of={list} label="Show older changes" />
    </section>
  );
}
