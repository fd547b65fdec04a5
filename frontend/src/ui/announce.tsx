/** The live region: what changed, for those who do not see it change. */
import { signal } from "@preact/signals";

const said = signal("");

/** Have assistive technology say `text` as soon as it is quiet. */
export function announce(text: string): void {
  // The same text twice is a change too.
  said.value = said.peek() === text ? `${text}\u00a0` : text;
}

export const Announcer = () => (
  <div class="unseen" role="status" aria-live="polite">
    {said}
  </div>
);
