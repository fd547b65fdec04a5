/** The live region: announces changes to screen readers. */
import { signal } from "@preact/signals";

const message = signal("");

/** Have assistive technology read `text` when it is idle. */
export function announce(text: string): void {
  // The same text twice must be a change too.
  message.value = message.peek() === text ? `${text}\u00a0` : text;
}

export const Announcer = () => (
  <div class="unseen" role="status" aria-live="polite">
    {message}
  </div>
);
