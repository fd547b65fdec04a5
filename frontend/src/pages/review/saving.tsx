/** Whether decisions are saved; what is not, why, and what to do. */
import { plural } from "../../format";
import { decisions } from "../../store/decided";
import { Failure } from "../../ui/state";
import { word } from "./words";

export function Saving() {
  const problem = decisions.problem.value;
  const all = [...decisions.all.value.values()];
  const refused = all.filter((one) => one.refused !== undefined);
  const open = decisions.waiting;
  return (
    <>
      {problem && open > 0 && (
        <div class="unsaved">
          <p role="status">
            <strong>{plural(open, "label")} not saved yet.</strong> This browser keeps them, even if
            you close the page, and tries again by itself.
          </p>
          <Failure problem={problem} retry={() => void decisions.send()} />
        </div>
      )}
      {refused.length > 0 && (
        <ul class="refused" aria-label="Not saved">
          {refused.map(({ id, name, wanted, saved, refused: why }) => (
            <li key={id} class="card failure">
              <p>
                <strong>{name}</strong>{" "}
                {wanted ? `was not saved as ${word(wanted)}.` : `is still ${word(saved)}.`} {why}
              </p>
              <div class="row">
                <button
                  type="button"
                  class="small"
                  onClick={() => decisions.decide([{ id, name }], wanted)}
                >
                  Try again<span class="unseen">: {name}</span>
                </button>
                <button type="button" class="secondary small" onClick={() => decisions.dismiss(id)}>
                  Dismiss<span class="unseen">: {name}</span>
                </button>
              </div>
            </li>
          ))}
        </ul>
      )}
    </>
  );
}
