/** Chosen files that one page hands to another, which takes them when it opens. */
import { signal } from "@preact/signals";

export const handed = signal<readonly File[]>([]);

/** Returns the files, once. */
export function takeHanded(): readonly File[] {
  const files = handed.peek();
  if (files.length > 0) handed.value = [];
  return files;
}
