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

/** Sets of images that both models were measured on; the first that a gate has leads. */
const SETS = ["own", "test", "exam"] as const;
type SetName = (typeof SETS)[number];

export interface Improvement {
  on: SetName;
  of: Pair;
  /** On thumbnails of the kind the model was shipped for. */
  world: Pair | null;
  /** The model that was live, which the figures before are of. */
  champion: string;
  /** The service's sentences on what a person should know although the model may have passed. */
  warnings: readonly string[];
}

function measuredOf(value: unknown, ofSet: unknown): Measured | null {
  const figures = loose(value);
  const images = numberOr(figures.images) ?? numberOr(ofSet);
  const accuracy = numberOr(figures.accuracy);
  if (!images || accuracy === null) return null;
  const right = numberOr(figures.right) ?? Math.round(accuracy * images);
  const [brier, unsure] = [numberOr(figures.brier), numberOr(figures.unsure)];
  return { images, right, accuracy, brier, unsure };
}

function pairOf(value: unknown): Pair | null {
  const { candidate, champion, images } = loose(value);
  const [after, before] = [measuredOf(candidate, images), measuredOf(champion, images)];
  return after && before ? { before, after } : null;
}

/** Null if the gate did not measure both models on the same images. */
export function improvementOf(gate: unknown): Improvement | null {
  const { own, world, sets, champion, warnings } = loose(gate);
  const known: Record<SetName, unknown> = { own, test: loose(sets).test, exam: loose(sets).exam };
  for (const on of SETS) {
    const of = pairOf(known[on]);
    if (!of) continue;
    return {
      on,
      of,
      world: pairOf(world),
      champion: typeof champion === "string" ? champion : "",
      warnings: Array.isArray(warnings) ? warnings.map(String) : [],
    };
  }
  return null;
}

interface Judged {
  version: string;
  gate: unknown;
}

/** `after` compared with `before`, if the gate of one of them measured both on the same images. */
export function between(before: Judged, after: Judged): Improvement | null {
  const found = improvementOf(after.gate);
  if (found?.champion === before.version) return found;
  const other = improvementOf(before.gate);
  if (other?.champion !== after.version) return null;
  const swapped = (pair: Pair): Pair => ({ before: pair.after, after: pair.before });
  return {
    ...other,
    of: swapped(other.of),
    world: other.world && swapped(other.world),
    champion: before.version,
    warnings: [],
  };
}

/** Advice on how to change a refusal; empty if the gate gives none. */
export function adviceOf(gate: unknown): string {
  const { advice } = loose(gate);
  return typeof advice === "string" ? advice : "";
}

/** "your 60 images", "the 185 test images". */
export function imagesText({ on, of }: Pick<Improvement, "on" | "of">): string {
  const images = count(of.after.images);
  return on === "own" ? `your ${images} images` : `the ${images} ${on} images`;
}

/** Two shares with as many digits as tell them apart: "72% right, before 65%". */
export function change({ before, after }: Pair): string {
  const [then, now] = [before.accuracy, after.accuracy];
  const digits = percent(then, 0) === percent(now, 0) && then !== now ? 1 : 0;
  return `${percent(now, digits)} right, before ${percent(then, digits)}`;
}

/** The first line: "Better on your 60 images: 72% right, before 65%". A model may be right on fewer
 * images and yet pass, because its probabilities are closer to the labels. */
export function headline(improvement: Improvement): string {
  const { before, after } = improvement.of;
  const by = after.right - before.right;
  const closer = before.brier !== null && after.brier !== null && after.brier < before.brier;
  const images = imagesText(improvement);
  if (by === 0) return `As good on ${images}: ${percent(after.accuracy, 0)} right, as before`;
  const how = by > 0 ? "Better" : closer ? "Closer to the labels, right on fewer" : "Worse";
  return `${how} on ${images}: ${change(improvement.of)}`;
}

/** The same in counts of images. */
export const counts = ({ of: { before, after } }: Improvement): string =>
  `Right on ${count(after.right)} of ${count(after.images)} images, ` +
  `before on ${count(before.right)}. Neither model had learned from the images it was tested on.`;

export const worldText = ({ before, after }: Pair): string =>
  `On thumbnails of the kind it was shipped for: ${percent(after.accuracy, 0)} right, ` +
  `before ${percent(before.accuracy, 0)}.`;

/** The share of unsure verdicts before and after, on the same images; null if it was not measured,
 * or if a warning of the service has it. */
export function unsureText({ on, of: { before, after }, warnings }: Improvement): string | null {
  if (before.unsure === null || after.unsure === null) return null;
  const images = on === "own" ? "of your images" : `of the ${on} images`;
  if (warnings.some((warning) => warning.includes(images))) return null;
  return (
    `Unsure about ${percent(after.unsure, 0)} of these images, ` +
    `before about ${percent(before.unsure, 0)}.`
  );
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
