/** The title of a batch, which members may change. */
import { useState } from "preact/hooks";
import { api, ask } from "../../api/client";
import { MAX_TITLE } from "../../api/limits";
import { asProblem, type Problem } from "../../api/problem";
import { config } from "../../api/session";
import { announce } from "../../ui/announce";
import { Failure } from "../../ui/state";

export function Title({
  batch,
  name,
  onChanged,
}: {
  batch: string;
  name: string | null;
  onChanged: () => void;
}) {
  const [text, setText] = useState<string | null>(null);
  const [problem, setProblem] = useState<Problem>();
  const save = async (given: string) => {
    setProblem(undefined);
    try {
      const params = { path: { batch } };
      await ask(api().PATCH("/batches/{batch}", { params, body: { name: given.trim() || null } }));
      setText(null);
      announce("Name saved");
      onChanged();
    } catch (error) {
      setProblem(asProblem(error, config.value.api));
    }
  };
  if (text === null) {
    return (
      <p class="row">
        {name && <strong>{name}</strong>}
        <button type="button" class="quiet small" onClick={() => setText(name ?? "")}>
          {name ? "Rename" : "Name this batch"}
        </button>
      </p>
    );
  }
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        void save(text);
      }}
    >
      <input
        aria-label="Name of this batch"
        maxLength={MAX_TITLE}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
      />
      <button type="submit" class="small">
        Save
      </button>
      <button type="button" class="secondary small" onClick={() => setText(null)}>
        Cancel
      </button>
      {problem && <Failure problem={problem} />}
    </form>
  );
}
