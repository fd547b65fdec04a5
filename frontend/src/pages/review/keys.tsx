/** Keyboard shortcuts of a page: single keys, which can be switched off (WCAG 2.1.4). */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

const KEPT = "review-keys";

function wanted(): boolean {
  try {
    return localStorage.getItem(KEPT) !== "off";
  } catch {
    return true;
  }
}

export const keysOn = signal(wanted());

function switchKeys(on: boolean): void {
  keysOn.value = on;
  try {
    localStorage.setItem(KEPT, on ? "on" : "off");
  } catch {
    // Kept for this visit only.
  }
}

/** Where letters are typed, or another dialog has the keyboard. */
const TYPING = "input:not([type=checkbox], [type=radio]), select, textarea, dialog";

/** Where the space bar already has a meaning. */
const PRESSED_BY_SPACE = "button, a, summary, input, [role=option]";

/** Call the action of a key wherever the focus is, except in fields and dialogs. */
export function useKeys(actions: Readonly<Record<string, () => void>>): void {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      const action = latest.current[event.key];
      const target = event.target as Element;
      // A key that is held down must not label everything.
      if (!action || event.repeat || event.defaultPrevented) return;
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (target.closest(TYPING)) return;
      if (event.key === " " && target.closest(PRESSED_BY_SPACE)) return;
      if (!keysOn.value && event.key !== "?") return;
      event.preventDefault();
      action();
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}

export const Key = ({ name }: { name: string }) => (
  <span class="key" aria-hidden="true">
    {name}
  </span>
);

/** The list of keys, in a dialog. */
export function KeyHelp({
  keys,
  onClose,
}: {
  keys: readonly (readonly [key: string, does: string])[];
  onClose: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="keys-title">
      <article>
        <form method="dialog">
          <h2 id="keys-title">Keys</h2>
          <dl class="key-list">
            {keys.map(([key, does]) => (
              <div key={key}>
                <dt>
                  <kbd>{key}</kbd>
                </dt>
                <dd>{does}</dd>
              </div>
            ))}
          </dl>
          <label class="check">
            <input
              type="checkbox"
              checked={keysOn.value}
              onChange={(event) => switchKeys(event.currentTarget.checked)}
            />
            Use these keys
          </label>
          <footer class="row end">
            <button type="submit">Close</button>
          </footer>
        </form>
      </article>
    </dialog>
  );
}
