/** A confirmation before an action that others will notice. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

export function Confirm({
  title,
  action,
  dismiss = "Cancel",
  busy = false,
  danger = false,
  onConfirm,
  onClose,
  children,
}: {
  title: string;
  /** The label of the button that does it. */
  action: string;
  /** The label of the button that closes the dialog and does nothing. */
  dismiss?: string;
  busy?: boolean;
  /** The button is red: the action is against advice. */
  danger?: boolean;
  onConfirm: () => void;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby="confirm-title">
      <article>
        <form
          onSubmit={(event) => {
            event.preventDefault();
            onConfirm();
          }}
        >
          <h2 id="confirm-title">{title}</h2>
          {children}
          <footer class="row end">
            <button type="button" class="secondary" onClick={() => dialog.current?.close()}>
              {dismiss}
            </button>
            <button type="submit" class={danger ? "danger" : ""} aria-busy={busy} disabled={busy}>
              {action}
            </button>
          </footer>
        </form>
      </article>
    </dialog>
  );
}
