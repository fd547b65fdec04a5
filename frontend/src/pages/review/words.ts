/** Sentences about an image of the queue and about what was done with it. */
import type { Schemas } from "../../api/client";
import { percent, plural } from "../../format";
import { band } from "../../store/model";
import type { Choice } from "./queue";

export type Item = Schemas["ReviewItem"];

/** "clickbait" or "legitimate", inside a sentence. */
export const word = (label: string | null | undefined): string =>
  label === "clickbait_fake" ? "clickbait" : "legitimate";

export const SOURCES = { batch: "Batches", upload: "Uploads", prediction: "Predictions" } as const;
export type Source = keyof typeof SOURCES;

export const ORDERS = { unsure: "Unsure first", surprising: "Surprising first" } as const;
export type Order = keyof typeof ORDERS;

/** Why this image is worth a look. */
export function whyText({ why, probability }: Pick<Item, "why" | "probability">): string {
  const { low, high } = band.value;
  return why === "unsure"
    ? `The model is unsure: from ${percent(low)} to ${percent(high)} it is often wrong.`
    : `The model is sure, at ${percent(probability)} clickbait, but the image is unusual for it.`;
}

/** For screen readers, after each step. */
export function actText(choice: Choice, names: readonly string[]): string {
  const what = names.length === 1 ? (names[0] ?? "") : plural(names.length, "image");
  return choice ? `${what}: ${word(choice)}` : `Skipped ${what}`;
}
