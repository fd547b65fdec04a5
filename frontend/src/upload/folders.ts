/** Labels from folder names: which chosen files are clickbait, legitimate, or in no class folder. */
import type { Schemas } from "../api/client";
import { isLitter, pathOf } from "./names";

export type Label = Schemas["DoubtedLabel"]["label"];

/** Folder names that tell a label, in lower case. */
const CLASSES: Readonly<Record<string, Label>> = {
  clickbait: "clickbait_fake",
  clickbait_fake: "clickbait_fake",
  legitimate: "clickbait_real",
  clickbait_real: "clickbait_real",
};

/** Images in a folder of this name are for the exam. */
const EXAM = "exam";

export interface Placed {
  file: File;
  /** By its folder; null if no chosen folder gives a label. */
  label: Label | null;
  /** Whether it lies in a folder named `exam`. */
  exam: boolean;
  /** Why it is left out. */
  why?: string;
}

export interface Folder {
  name: string;
  files: number;
}

export interface Sorted {
  /** Each chosen file, in its order. */
  placed: Placed[];
  /** Whether folders tell the labels. */
  labelled: boolean;
  /** Folders that tell no label, beside those that do; or all, if none does and there are several. */
  others: Folder[];
}

const OUTSIDE = "Not in a folder named clickbait or legitimate";
const BOTH = "In folders of both labels";
const HIDDEN = "Not an image, but a file of the system";

/**
 * Sort `files` by their folders. If one folder names a class, files outside such folders are left
 * out, because their label would be a guess. Names of classes may be in any case.
 */
export function sorted(files: readonly File[]): Sorted {
  const read = files.map((file) => {
    const parts = pathOf(file).split("/");
    const folders = parts.slice(0, -1).map((name) => name.trim().toLowerCase());
    const labels = new Set(folders.map((name) => CLASSES[name]).filter((label) => !!label));
    const hidden = isLitter(pathOf(file));
    return { file, parts, labels, exam: folders.includes(EXAM), hidden };
  });
  const labelled = read.some(({ labels, hidden }) => labels.size > 0 && !hidden);
  const placed = read.map(({ file, labels, exam, hidden }): Placed => {
    const [label = null] = labels;
    const why = hidden
      ? HIDDEN
      : labels.size > 1
        ? BOTH
        : labelled && label === null
          ? OUTSIDE
          : undefined;
    return { file, label: labels.size > 1 ? null : label, exam, ...(why ? { why } : {}) };
  });
  const outside = read.filter(({ hidden, labels }) => !hidden && labels.size === 0);
  return { placed, labelled, others: named(outside, labelled) };
}

/** The folders of files without a label, largest first. */
function named(files: readonly { parts: string[] }[], labelled: boolean): Folder[] {
  const counts = new Map<string, number>();
  for (const { parts } of files) {
    const folder = parts.slice(0, -1).join("/");
    if (folder) counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  // Without class folders, one folder is an ordinary choice.
  if (!labelled && counts.size < 2) return [];
  return [...counts]
    .map(([name, count]) => ({ name, files: count }))
    .sort((a, b) => b.files - a.files || (a.name < b.name ? -1 : 1));
}
