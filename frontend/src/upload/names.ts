/** Names for chosen files, each different, and which files of a folder are images. */
import { MAX_NAME } from "../api/limits";

/** Characters kept free for the number that tells two files of one name apart. */
const NUMBER = 8;

/** Files that systems put beside images; the same as LITTER in `clickbait/keys.py`. */
const LITTER =
  /^(\._.*|\.DS_Store|\.localized|\.AppleDouble|\.Spotlight-V100|\.Trashes|\.fseventsd|\.TemporaryItems|__MACOSX|Icon\r|(eh)?thumbs(_vista)?\.db|desktop\.ini|\$RECYCLE\.BIN|System Volume Information|\.directory|\.Trash-\d+|\.nomedia|@eaDir|\.git|\.gitkeep|\.keep)$/is;

/** Whether a part of the path is no file of the person's. Any other name may be an image's. */
export const isLitter = (path: string): boolean =>
  path.split("/").some((part) => LITTER.test(part));

/** A file's path in the folder that was chosen, else its name. */
export const pathOf = (file: File): string => file.webkitRelativePath || file.name;

/** A name for each of `files`, in their order: its path, with a number if another file has it. */
export function namesOf(files: readonly File[]): string[] {
  const taken = new Set<string>();
  const numbers = new Map<string, number>();
  return files.map((file) => {
    // The end of a long path tells more than its beginning.
    const path = pathOf(file).slice(NUMBER - MAX_NAME) || "file";
    let name = path;
    while (taken.has(name)) {
      const number = (numbers.get(path) ?? 1) + 1;
      numbers.set(path, number);
      name = path.replace(/(\.[^./]*)?$/, (ending) => ` (${number})${ending}`);
    }
    taken.add(name);
    return name;
  });
}

/** A chosen file that is not sent. */
export interface LeftOut {
  name: string;
  why: string;
}

export interface Split {
  images: File[];
  others: LeftOut[];
}

/** Browsers know no type for some of these. */
const IMAGE = /\.(jpe?g|png|webp|avif|hei[cf]|gif|bmp|tiff?)$/i;

/**
 * Folders hold other files than images: those are skipped, and so are those that systems make. Any
 * other file that was chosen by itself is sent, and the service says what is wrong with it.
 */
export function split(files: readonly File[]): Split {
  const images: File[] = [];
  const others: LeftOut[] = [];
  for (const file of files) {
    const name = pathOf(file);
    const image = file.type.startsWith("image/") || IMAGE.test(file.name);
    if (isLitter(name)) others.push({ name, why: "made by the system" });
    else if (file.webkitRelativePath && !image) others.push({ name, why: "not an image" });
    else images.push(file);
  }
  return { images, others };
}

/** A file that has gone: the title and the detail of its problem, and both in one text. */
export const GONE = "This browser can no longer read the file";
export const GONE_BECAUSE = "It was moved, changed or deleted after you chose it.";
export const UNREADABLE = `${GONE}. ${GONE_BECAUSE}`;

/** Whether a chosen file can still be read; one that is gone may look empty. */
export const readable = (file: Blob): Promise<boolean> =>
  (file.size > 0 ? file.slice(0, 1) : file).arrayBuffer().then(
    () => true,
    () => false,
  );
