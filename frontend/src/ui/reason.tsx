/** The reason for a change that everybody will see: one sentence in the release history. */
import { useId } from "preact/hooks";

/** Characters. Not in api/limits.ts, which is part of the page's first load. */
export const REASON = { least: 3, most: 500 } as const;

export function Reason({ value, onInput }: { value: string; onInput: (value: string) => void }) {
  const id = useId();
  return (
    <>
      <label for={id}>Reason</label>
      <textarea
        id={id}
        rows={2}
        required
        minlength={REASON.least}
        maxlength={REASON.most}
        aria-describedby={`${id}-hint`}
        value={value}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      <p class="hint" id={`${id}-hint`}>
        One sentence, shown in the release history.
      </p>
    </>
  );
}
