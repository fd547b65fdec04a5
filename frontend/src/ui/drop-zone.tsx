/** The place for images: dropped, pasted, chosen, or photographed on a phone. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { UPLOADABLE } from "../api/limits";
import { isLitter } from "../upload/names";
import { UploadIcon } from "./icons";

const TOUCH = matchMedia("(pointer: coarse)").matches;

const IMAGES = [...UPLOADABLE, "image/*"].join();

/** Every dropped file, those in folders too, in the order of their paths. */
async function filesOf(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter((e) => !!e);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  const found: File[] = [];
  const walk = async (entry: FileSystemEntry): Promise<void> => {
    if (entry.isFile) {
      const file: File = await new Promise((yes, no) =>
        (entry as FileSystemFileEntry).file(yes, no),
      );
      // The browser sets the path for folders that are chosen, not for those that are dropped.
      const path = entry.fullPath.slice(1);
      if (path !== file.name) Object.defineProperty(file, "webkitRelativePath", { value: path });
      found.push(file);
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    // A reader returns a hundred entries at a time, and none at the end.
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((yes, no) => reader.readEntries(yes, no));
      if (some.length === 0) return;
      for (const one of some) await walk(one);
    }
  };
  for (const entry of entries) await walk(entry);
  return found;
}

export function DropZone({
  onFiles,
  multiple = false,
  folder = false,
  hidden = false,
  camera = false,
  paste = false,
  compact = false,
  label,
  children,
}: {
  onFiles: (files: File[]) => void;
  multiple?: boolean;
  /** Offers to choose a folder. */
  folder?: boolean;
  /** Takes the litter of systems too, so that the caller can list it. */
  hidden?: boolean;
  /** Offers the camera, on touch screens. */
  camera?: boolean;
  /** Takes images that are pasted anywhere on the page. */
  paste?: boolean;
  compact?: boolean;
  label: string;
  children?: ComponentChildren;
}) {
  const [over, setOver] = useState(false);
  const picker = useRef<HTMLInputElement>(null);
  const folders = useRef<HTMLInputElement>(null);
  const photo = useRef<HTMLInputElement>(null);
  const id = useId();
  const take = (files: File[]) => {
    const seen = hidden ? files : files.filter((file) => !isLitter(file.name));
    const some = multiple ? seen : seen.slice(0, 1);
    if (some.length > 0) onFiles(some);
  };

  useEffect(() => {
    if (!paste) return;
    const onPaste = (event: ClipboardEvent) => {
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length > 0) {
        event.preventDefault();
        take(files);
      }
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
    <section
      class={`drop ${over ? "over" : ""} ${compact ? "compact" : ""}`}
      aria-label={label}
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={(event) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false);
      }}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        if (event.dataTransfer) void filesOf(event.dataTransfer).then(take);
      }}
    >
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
          <button type="button" class="secondary touch-only" onClick={() => photo.current?.click()}>
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
  );
}
