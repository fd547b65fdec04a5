/** The place for images: dropped, pasted, chosen, or photographed on a phone. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { UPLOADABLE } from "../api/limits";
import { carries, dropped, editable } from "../upload/dropped";
import type { LeftOut } from "../upload/names";
import { UploadIcon } from "./icons";
import { LeftOutFiles } from "./left-out";

const TOUCH = matchMedia("(pointer: coarse)").matches;

const IMAGES = [...UPLOADABLE, "image/*"].join();

/** Drop zones on the page: each takes what is dropped anywhere. */
let open = 0;
export const zoneIsOpen = (): boolean => open > 0;

const ONLY_ONE = "only one image fits here";

export function DropZone({
  onFiles,
  multiple = false,
  folder = false,
  camera = false,
  paste = false,
  compact = false,
  onText,
  label,
  children,
}: {
  /** `lost` are the files that could not be read, which the drop zone itself lists too. */
  onFiles: (files: File[], lost: readonly LeftOut[]) => void;
  multiple?: boolean;
  /** Offers to choose a folder. */
  folder?: boolean;
  /** Offers the camera, on touch screens. */
  camera?: boolean;
  /** Takes images that are pasted anywhere on the page. */
  paste?: boolean;
  compact?: boolean;
  /** Takes text that is pasted, and addresses that are dropped; returns false if it cannot. */
  onText?: (text: string) => boolean;
  label: string;
  children?: ComponentChildren;
}) {
  const [over, setOver] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const folders = useRef<HTMLInputElement>(null);
  const photo = useRef<HTMLInputElement>(null);
  const id = useId();
  const [lost, setLost] = useState<readonly LeftOut[]>([]);
  const take = (files: File[], unread: readonly LeftOut[] = []) => {
    const some = multiple ? files : files.slice(0, 1);
    const rest = files.slice(some.length).map(({ name }) => ({ name, why: ONLY_ONE }));
    setLost([...unread, ...rest]);
    if (some.length > 0) onFiles(some, unread);
  };

  useEffect(() => {
    open += 1;
    return () => {
      open -= 1;
    };
  }, []);

  // A file that is dropped beside the zone would replace the page.
  useEffect(() => {
    const onOver = (event: DragEvent) => {
      if (!carries(event)) return;
      event.preventDefault();
      setOver(true);
    };
    const onLeave = (event: DragEvent) => {
      if (event.relatedTarget === null) setOver(false);
    };
    const onDrop = (event: DragEvent) => {
      setOver(false);
      if (!event.dataTransfer || event.defaultPrevented || !carries(event)) return;
      event.preventDefault();
      void dropped(event.dataTransfer).then(({ files, lost, address }) => {
        if (!address || !onText?.(address)) take(files, lost);
      });
    };
    addEventListener("dragover", onOver);
    addEventListener("dragleave", onLeave);
    addEventListener("drop", onDrop);
    return () => {
      removeEventListener("dragover", onOver);
      removeEventListener("dragleave", onLeave);
      removeEventListener("drop", onDrop);
    };
  });

  useEffect(() => {
    if (!paste) return;
    const onPaste = (event: ClipboardEvent) => {
      const files = [...(event.clipboardData?.files ?? [])];
      const text = editable(event.target) ? "" : event.clipboardData?.getData("text/plain").trim();
      if (files.length === 0 && !text) return;
      event.preventDefault();
      if (files.length > 0) take(files);
      else if (text) onText?.(text);
    };
    document.addEventListener("paste", onPaste);
    return () => document.removeEventListener("paste", onPaste);
  });

  const picked = (event: { currentTarget: HTMLInputElement }) => {
    const files = [...(event.currentTarget.files ?? [])];
    event.currentTarget.value = ""; // The same file can be chosen again.
    take(files);
  };

  return (
    <>
      <section class={`drop ${over ? "over" : ""} ${compact ? "compact" : ""}`} aria-label={label}>
        <UploadIcon />
        <p class="drop-label">{camera && TOUCH ? "Choose a photo" : label}</p>
        {children}
        <div class="row center">
          <button type="button" onClick={() => picker.current?.click()}>
            {multiple ? "Choose files" : "Choose a file"}
          </button>
          {folder && (
            <button type="button" class="secondary" onClick={() => folders.current?.click()}>
              Choose a folder
            </button>
          )}
          {camera && (
            <button
              type="button"
              class="secondary touch-only"
              onClick={() => photo.current?.click()}
            >
              Take a photo
            </button>
          )}
        </div>
        <input
          ref={picker}
          id={`${id}-files`}
          class="unseen"
          type="file"
          tabIndex={-1}
          aria-label={label}
          accept={IMAGES}
          multiple={multiple}
          onChange={picked}
        />
        {folder && (
          <input
            ref={folders}
            class="unseen"
            type="file"
            tabIndex={-1}
            aria-label="Folder of images"
            multiple
            {...{ webkitdirectory: true }}
            onChange={picked}
          />
        )}
        {camera && (
          <input
            ref={photo}
            class="unseen"
            type="file"
            tabIndex={-1}
            aria-label="Photo"
            accept="image/*"
            capture="environment"
            onChange={picked}
          />
        )}
      </section>
      <LeftOutFiles of={lost} />
    </>
  );
}
