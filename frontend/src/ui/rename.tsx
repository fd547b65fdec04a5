/** A name for people that can be changed in place. */
import { useState } from "preact/hooks";
import { MAX_TITLE } from "../api/limits";
import { asProblem, type Problem } from "../api/problem";
import { config } from "../api/session";
import { announce } from "./announce";
import { Failure } from "./state";

export function Rename({
  thing,
  name,
  save,
  onChanged,
}: {
  /** "batch": the button says "Name this batch". */
  thing: string;
  name: string | null;
  /** Store the name; null removes it. */
  save: (name: string | null) => Promise<unknown>;
  onChanged: () => void;
}) {
  const [text, setText] = useState<string | null>(null);
  const [problem, setProblem] = useState<Problem>();
  const submit = async (given: string) => {
    setProblem(undefined);
    try {
      await save(given.trim() || null);
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
          {name ? "Rename" : `Name this ${thing}`}
        </button>
      </p>
    );
  }
  return (
    <form
      class="row"
      onSubmit={(event) => {
        event.preventDefault();
        void submit(text);
      }}
    >
      <input
        aria-label={`Name of this ${thing}`}
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
