/** Files out of a drop: those in folders too, and images that were dragged from another page. */
import type { LeftOut } from "./names";

export interface Dropped {
  files: File[];
  /** What could not be read. */
  lost: LeftOut[];
  /** The address of an image or a link of another page, if nothing else came. */
  address?: string;
}

const NO_ENTRY = "could not be read: it was moved, or this browser may not open it";
const ONLY_ADDRESS = "only its address came: save the image, and drop the file";

/** Every dropped file, in the order of the paths. Call it in the event: later the files are gone. */
export async function dropped(transfer: DataTransfer): Promise<Dropped> {
  const files = [...transfer.files];
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter((e) => !!e);
  if (files.length === 0 && entries.length === 0) return fromPage(transfer);
  if (!entries.some((entry) => entry.isDirectory)) return { files, lost: [] };
  const found: Dropped = { files: [], lost: [] };
  for (const entry of entries) await walk(entry, found);
  return found;
}

async function walk(entry: FileSystemEntry, found: Dropped): Promise<void> {
  // The browser sets the path for folders that are chosen, not for those that are dropped.
  const path = entry.fullPath.slice(1);
  try {
    if (entry.isFile) {
      const file: File = await new Promise((yes, no) =>
        (entry as FileSystemFileEntry).file(yes, no),
      );
      if (path !== file.name) Object.defineProperty(file, "webkitRelativePath", { value: path });
      found.files.push(file);
      return;
    }
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    // A reader returns a hundred entries at a time, and none at the end.
    for (;;) {
      const some = await new Promise<FileSystemEntry[]>((yes, no) => reader.readEntries(yes, no));
      if (some.length === 0) return;
      for (const one of some) await walk(one, found);
    }
  } catch {
    found.lost.push({ name: path, why: NO_ENTRY });
  }
}

const DATA = /^data:(image\/[\w.+-]+);base64,([\w+/=\s]+)$/;

/** An image of another page: its bytes if they are in the address, else a word about it. */
function fromPage(transfer: DataTransfer): Dropped {
  const [address = ""] = transfer.getData("text/uri-list").split(/\r?\n/);
  const html = new DOMParser().parseFromString(transfer.getData("text/html"), "text/html");
  const source = html.querySelector("img")?.getAttribute("src") || address;
  if (!source) return { files: [], lost: [] };
  const [, type, base64] = DATA.exec(source) ?? [];
  if (!type || !base64) {
    return { files: [], lost: [{ name: source, why: ONLY_ADDRESS }], address: source };
  }
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const name = `dropped.${type.slice("image/".length).replace("jpeg", "jpg")}`;
  return { files: [new File([bytes], name, { type })], lost: [] };
}

/** Whether text that lands there is somebody's input. */
export const editable = (target: EventTarget | null): boolean =>
  target instanceof Element && target.closest("input, textarea") !== null;

/** Whether a drag carries something that a page could take: files, or another page's image. */
export function carries({ dataTransfer: data, target }: DragEvent): boolean {
  if (data?.types.includes("Files")) return true;
  return !editable(target) && data?.types.includes("text/uri-list") === true;
}
