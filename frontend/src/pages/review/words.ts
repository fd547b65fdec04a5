/** Sentences about an image of the queue and about what was done with it. */
import type { Schemas } from "../../api/client";
import { percent, plural } from "../../format";
import { band } from "../../store/model";
import type { Choice } from "./queue";

export type Item = Schemas["ReviewItem"];

/** "clickbait" or "legitimate", inside a sentence. */
export const word = (label: string | null | undefined): string =>
  label === "clickbait_fake" ? "clickbait" : "legitimate";

export const SOURCES = {
  batch: "Batches",
  upload: "Training images",
  prediction: "Predictions",
} as const;
export type Source = keyof typeof SOURCES;

/** The source of one image. */
export const FROM: Record<Source, string> = {
  batch: "Batch",
  upload: "Training image",
  prediction: "Single prediction",
};

export const ORDERS = { unsure: "Unsure first", surprising: "Surprising first" } as const;
export type Order = keyof typeof ORDERS;

/** Why this image is worth a look, and the label that it has, if any. */
export function whyText(
  { why, label, probability }: Pick<Item, "why" | "label" | "probability">,
  unsureNow: boolean,
): string {
  if (why === "surprising") return `It is labelled ${word(label)}. The model disagrees.`;
  const { low, high } = band.value;
  const unsure = unsureNow
    ? `The model is unsure: from ${percent(low)} to ${percent(high)} it is often wrong.`
    : `An earlier answer was unsure: ${percent(probability)} clickbait.`;
  return label ? `${unsure} The image is labelled ${word(label)}.` : unsure;
}

/** For screen readers, after each step. */
export function actText(choice: Choice, names: readonly string[]): string {
  const what = names.length === 1 ? (names[0] ?? "") : plural(names.length, "image");
  return choice ? `${what}: ${word(choice)}` : `Skipped ${what}`;
}
