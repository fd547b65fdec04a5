/** A labelled image as the service knows it, in words for people. */

import type { Schemas } from "../../../api/client";
import { className, percent } from "../../../format";
import type { Label } from "../../../upload/folders";

export type Image = Schemas["DatasetImage"];
export type Side = Image["side"];

export const SIDES: Record<Side, string> = {
  train: "Training",
  validation: "Validation",
  test: "Test",
  exam: "Exam",
  none: "Not in a split yet",
};

export const sideOf = (image: Pick<Image, "side" | "folder">): string =>
  SIDES[image.folder === "exam" ? "exam" : image.side];

/** "Model: 84% clickbait", with a word if it disagrees with the label. */
export function modelText({ probability, disagrees }: Image): string {
  if (probability === null) return "The model has not been asked yet";
  const text = `${percent(probability, 0)} clickbait`;
  return disagrees ? `${text}: disagrees with the label` : text;
}

export function trainedText({ folder, trained }: Image): string {
  if (folder === "exam") return "Never: it measures models";
  return trained ? "Yes" : "Not yet: it waits for the next training";
}

/** The key that an id stands for: base64url without padding. */
export function keyOf(id: string): string {
  const binary = atob(id.replaceAll("-", "+").replaceAll("_", "/"));
  return new TextDecoder().decode(Uint8Array.from(binary, (char) => char.charCodeAt(0)));
}

/** The fields that an edit changes. */
export type Change = { label: Label } | { folder: "train" | "exam" } | { remove: true };

/** The image after `change`, which did not remove it. */
export function changed(image: Image, change: Change): Image {
  if ("label" in change) {
    const disagrees =
      image.probability !== null && image.disagrees === (image.label === change.label);
    return { ...image, label: change.label, decided: true, trained: false, disagrees };
  }
  if ("folder" in change) {
    return { ...image, folder: change.folder, side: change.folder === "exam" ? "exam" : "none" };
  }
  return image;
}

/** Whether `change` would change the image; the same label confirms it, once. */
export function changes(image: Image, change: Change): boolean {
  if ("label" in change) return image.label !== change.label || !image.decided;
  return "remove" in change || image.folder !== change.folder;
}

/** "3 images labelled clickbait". */
export function doneText(change: Change, images: number): string {
  const some = `${images} ${images === 1 ? "image" : "images"}`;
  if ("remove" in change) return `${some} removed`;
  if ("label" in change) return `${some} labelled ${className(change.label).toLowerCase()}`;
  return change.folder === "exam" ? `${some} moved to the exam` : `${some} moved to training`;
}
