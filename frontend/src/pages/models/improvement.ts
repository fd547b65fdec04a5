/** A new model against the live one on the same images, in words: the owner's, then the world's. */
import { count, percent } from "../../format";
import { loose, numberOr } from "./metrics";
import type { Run } from "./progress";

/** One model's figures on one set of images; shares are of 1. */
export interface Measured {
  images: number;
  right: number;
  accuracy: number;
  /** Mean squared distance of the probabilities from the labels. */
  brier: number | null;
  unsure: number | null;
}

export interface Pair {
  before: Measured;
  after: Measured;
}

export interface Improvement {
  /** On the owner's images. */
  own: Pair;
  /** On thumbnails of the kind the model was shipped for. */
  world: Pair | null;
}

function measuredOf(value: unknown): Measured | null {
  const figures = loose(value);
  const images = numberOr(figures.images);
  const accuracy = numberOr(figures.accuracy);
  if (!images || accuracy === null) return null;
  const right = numberOr(figures.right) ?? Math.round(accuracy * images);
  const [brier, unsure] = [numberOr(figures.brier), numberOr(figures.unsure)];
  return { images, right, accuracy, brier, unsure };
}

function pairOf(value: unknown): Pair | null {
  const { candidate, champion } = loose(value);
  const [after, before] = [measuredOf(candidate), measuredOf(champion)];
  return after && before ? { before, after } : null;
}

/** Null if the gate did not measure both models on the owner's images. */
export function improvementOf(gate: unknown): Improvement | null {
  const own = pairOf(loose(gate).own);
  return own && { own, world: pairOf(loose(gate).world) };
}

/** Advice on how to change a refusal; empty if the gate gives none. */
export function adviceOf(gate: unknown): string {
  const { advice } = loose(gate);
  return typeof advice === "string" ? advice : "";
}

/** Two shares with as many digits as tell them apart: "62% → 78%". */
export function change({ before, after }: Pair): string {
  const shares = [before.accuracy, after.accuracy];
  const digits = percent(shares[0], 0) === percent(shares[1], 0) && shares[0] !== shares[1] ? 1 : 0;
  return shares.map((share) => percent(share, digits)).join(" → ");
}

/** The first line: "Better on your images: 62% → 78%". A model may be right on fewer images and yet
 * pass, because its probabilities are closer to the labels. */
export function headline({ own }: Improvement): string {
  const { before, after } = own;
  const by = after.right - before.right;
  const closer = before.brier !== null && after.brier !== null && after.brier < before.brier;
  if (by < 0 && closer) return `Closer to your labels, right on fewer: ${change(own)}`;
  if (by === 0) return `As good on your images: ${percent(own.after.accuracy, 0)}`;
  return `${by > 0 ? "Better" : "Worse"} on your images: ${change(own)}`;
}

/** The same in counts of images. */
export const counts = ({ own: { before, after } }: Improvement): string =>
  `Right on ${count(after.right)} of ${count(after.images)} of your images, ` +
  `before on ${count(before.right)}. Neither model had learned from the images it was tested on.`;

export const worldText = ({ before, after }: Pair): string =>
  `On thumbnails of the kind it was shipped for: ${percent(after.accuracy, 0)} right, ` +
  `before ${percent(before.accuracy, 0)}.`;

/** A rise of the share of unsure answers from which a person should know. */
export const MUCH_MORE_UNSURE = 0.1;

export interface Unsure {
  text: string;
  /** Whether the share rose much. */
  much: boolean;
}

export function unsureOf({ own: { before, after } }: Improvement): Unsure | null {
  if (before.unsure === null || after.unsure === null) return null;
  return {
    text:
      `Unsure about ${percent(after.unsure, 0)} of your images, ` +
      `before about ${percent(before.unsure, 0)}.`,
    much: after.unsure - before.unsure > MUCH_MORE_UNSURE,
  };
}

export const METHODS: Record<Run["method"] & string, string> = {
  small_update: "Small update",
  fine_tuning: "Fine-tuning",
};

/** "Small update: 60 images", or the method alone before the images are counted. */
export function methodText(method: Run["method"], images: number | null): string {
  const name = METHODS[method];
  return images === null ? name : `${name}: ${count(images)} ${images === 1 ? "image" : "images"}`;
}
