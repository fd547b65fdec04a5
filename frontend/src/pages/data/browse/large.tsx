/** One image large, with what is known of it, and its edits. */
import { useEffect, useRef, useState } from "preact/hooks";
import { admin } from "../../../api/session";
import { bytes, className, dateTime, plural } from "../../../format";
import { Copy } from "../../../ui/copy";
import { fileOf } from "../descriptions";
import { addressOf } from "./filters";
import { type Change, type Image, keyOf, modelText, sideOf, trainedText } from "./image";

/** Copies that are named; the others are only counted. */
const COPIES_NAMED = 5;

export function Facts({ of }: { of: Image }) {
  if (of.rejected) {
    return (
      <dl class="facts">
        <dt>Rejected</dt>
        <dd>{of.rejected.detail}</dd>
        <dt>Size</dt>
        <dd>{bytes(of.bytes)}</dd>
        <dt>Stored as</dt>
        <dd>
          <Copy text={of.key} label="key" />
        </dd>
      </dl>
    );
  }
  return (
    <dl class="facts">
      <dt>Label</dt>
      <dd>
        <span class={`tag ${of.label === "clickbait_fake" ? "bait" : "real"}`}>
          {className(of.label)}
        </span>
        {of.decided && <small> decided by an admin</small>}
      </dd>
      <dt>Model says</dt>
      <dd class={of.disagrees ? "warn" : ""}>{modelText(of)}</dd>
      <dt>Split</dt>
      <dd>{sideOf(of)}</dd>
      <dt>Trained on</dt>
      <dd>{trainedText(of)}</dd>
      <dt>Image</dt>
      <dd>
        {of.width && of.height ? `${of.width} × ${of.height}, ` : ""}
        {bytes(of.bytes)}
        {of.format && `, ${of.format}`}
      </dd>
      <dt>Added</dt>
      <dd>{dateTime(of.at)}</dd>
      {of.duplicates.length > 0 && (
        <>
          <dt>Copies</dt>
          <dd>
            {of.duplicates.slice(0, COPIES_NAMED).map((id) => {
              const name = fileOf(keyOf(id));
              return (
                <a
                  key={id}
                  class="copy-name"
                  href={addressOf({ label: null, side: null, show: null, q: name })}
                >
                  {name}
                </a>
              );
            })}
            {of.duplicates.length > COPIES_NAMED &&
              `and ${plural(of.duplicates.length - COPIES_NAMED, "more", "more")}`}
          </dd>
        </>
      )}
      <dt>Stored as</dt>
      <dd>
        <Copy text={of.key} label="key" />
      </dd>
    </dl>
  );
}

/** The edits of some images; `of` null: of several that differ. */
export function EditButtons({
  of,
  busy,
  onChange,
}: {
  of: Image | null;
  busy: boolean;
  onChange: (change: Change) => void;
}) {
  const folder = of?.folder === "exam" ? "train" : "exam";
  return (
    <>
      {(["clickbait_fake", "clickbait_real"] as const).map((label, at) => (
        <button
          key={label}
          type="button"
          class="secondary small"
          aria-keyshortcuts={String(at + 1)}
          aria-pressed={of ? of.label === label : undefined}
          disabled={busy}
          onClick={() => onChange({ label })}
        >
          {className(label)}{" "}
          <span class="key" aria-hidden="true">
            {at + 1}
          </span>
        </button>
      ))}
      {of ? (
        <button
          type="button"
          class="secondary small"
          aria-keyshortcuts="e"
          disabled={busy}
          onClick={() => onChange({ folder })}
        >
          {folder === "exam" ? "Move to exam" : "Move to training"}{" "}
          <span class="key" aria-hidden="true">
            e
          </span>
        </button>
      ) : (
        <>
          <button
            type="button"
            class="secondary small"
            disabled={busy}
            onClick={() => onChange({ folder: "exam" })}
          >
            Move to exam
          </button>
          <button
            type="button"
            class="secondary small"
            disabled={busy}
            onClick={() => onChange({ folder: "train" })}
          >
            Move to training
          </button>
        </>
      )}
      <button
        type="button"
        class="secondary small"
        aria-keyshortcuts="Delete"
        disabled={busy}
        onClick={() => onChange({ remove: true })}
      >
        Remove{" "}
        <span class="key" aria-hidden="true">
          Del
        </span>
      </button>
    </>
  );
}

export function Large({
  of,
  place,
  busy,
  status,
  onStep,
  onChange,
  onKey,
  onClose,
  onBroken,
}: {
  of: Image;
  /** "12 of 300". */
  place: string;
  busy: boolean;
  /** The last edit with its undo, or a failure. */
  status: preact.ComponentChildren;
  onStep: (by: 1 | -1) => void;
  onChange: (change: Change) => void;
  onKey: (event: KeyboardEvent) => boolean;
  onClose: () => void;
  onBroken: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [failed, setFailed] = useState<string | null>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      class="large"
      aria-labelledby="large-name"
      onClose={onClose}
      onKeyDown={(event) => {
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.key === "ArrowRight" || event.key === "ArrowDown") onStep(1);
        else if (event.key === "ArrowLeft" || event.key === "ArrowUp") onStep(-1);
        else if (!onKey(event)) return;
        event.preventDefault();
      }}
    >
      <article>
        <div class="row apart large-head">
          <h2 id="large-name">{of.name}</h2>
          <button type="button" class="quiet small" onClick={() => dialog.current?.close()}>
            Close
          </button>
        </div>
        <div class="large-body">
          <div class="large-picture">
            {of.url && failed !== of.url ? (
              <img
                src={of.url}
                alt={of.name}
                onError={() => {
                  setFailed(of.url);
                  onBroken();
                }}
              />
            ) : (
              <p class="picture-none">
                {admin.value ? "The picture could not be loaded." : "Only an admin sees pictures."}
              </p>
            )}
          </div>
          <Facts of={of} />
        </div>
        {admin.value && !of.rejected && (
          <div class="row large-edits">
            <EditButtons of={of} busy={busy} onChange={onChange} />
          </div>
        )}
        {status}
        <footer class="row apart">
          <button type="button" class="secondary small" onClick={() => onStep(-1)}>
            Previous
          </button>
          <small>{place}</small>
          <button type="button" class="secondary small" onClick={() => onStep(1)}>
            Next
          </button>
        </footer>
      </article>
    </dialog>
  );
}
