/** The button that loads a list's next page. */

import type { Listed } from "../api/use-list";
import { Failure } from "./state";

export function MoreButton({
  of,
  label,
}: {
  of: Pick<Listed<unknown>, "more" | "moreProblem" | "busy">;
  label: string;
}) {
  return (
    <>
      {of.moreProblem && <Failure problem={of.moreProblem} retry={of.more} />}
      {of.more && (
        <button
          type="button"
          class="secondary small"
          aria-busy={of.busy}
          disabled={of.busy}
          onClick={of.more}
        >
          {label}
        </button>
      )}
    </>
  );
}
