/** What the files of a batch are called, each differently, and which files of a folder are images. */

/** The service's limits (`clickbait/batches.py`). */
export const MAX_FILES = 10_000;
export const MAX_NAME = 1_024;

/** Characters kept free for the number that tells two files of one name apart. */
const NUMBER = 8;

/** Where a file lay in the folder that was chosen, else its name. */
const pathOf = (file: File): string => file.webkitRelativePath || file.name;

/** A name for each of `files`, in their order: its path, and a number behind it where that is taken. */
export function namesOf(files: readonly File[]): string[] {
  const taken = new Set<string>();
  const numbers = new Map<string, number>();
  return files.map((file) => {
    // The end of a long path says more than its beginning.
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

export interface Sorted {
  images: File[];
  /** Names of what a folder holds beside images. */
  others: string[];
}

/**
 * A folder holds other things than images: those are left out. A file that was chosen by itself is
 * meant, whatever it is, and the service says what is wrong with it.
 */
export function sorted(files: readonly File[]): Sorted {
  const images: File[] = [];
  const others: string[] = [];
  for (const file of files) {
    if (!file.webkitRelativePath || file.type.startsWith("image/")) images.push(file);
    else others.push(pathOf(file));
  }
  return { images, others };
}
