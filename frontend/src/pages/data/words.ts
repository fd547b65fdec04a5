/** What figures of images and of a model mean, in a sentence that anybody understands. */
import type { Schemas } from "../../api/client";
import { decimal, NONE, percent, plural } from "../../format";

export type Label = Schemas["Family"]["labels"][number];
export type Feature = Schemas["FeatureEffect"]["name"];
type Spread = Pick<Schemas["Spread"], "mean" | "sd" | "percentiles">;

export type ClassFigures = Schemas["ClassFigures"];
export type Classes = Record<Label, ClassFigures>;

export const BAIT = "clickbait_fake";
export const REAL = "clickbait_real";
export const LABELS = [BAIT, REAL] as const;
export const TONES = { [BAIT]: "bait", [REAL]: "real" } as const;

/** Of the smaller class, from which share on two classes are even enough, or merely uneven. */
const EVEN = 0.4;
const UNEVEN = 0.25;

/** How many images each class has beside the other, and what would even it out. */
export function balance(counts: Record<Label, number>): string {
  const [fewer, more]: readonly [Label, Label] =
    counts[REAL] <= counts[BAIT] ? [REAL, BAIT] : [BAIT, REAL];
  const [few, many] = [counts[fewer], counts[more]];
  const name = (label: Label) => (label === BAIT ? "clickbait" : "legitimate");
  if (few === 0) {
    return `There is no ${name(fewer)} image: a training needs both classes.`;
  }
  const share = few / (few + many);
  const said = `${percent(counts[BAIT] / (few + many), 0)} are clickbait`;
  if (share >= EVEN) return `${said}: well balanced.`;
  const missing = `${plural(many - few, `more ${name(fewer)} image`)} would even it out`;
  if (share >= UNEVEN) {
    return `${said}: rather uneven. A training weighs both classes alike all the same; ${missing}.`;
  }
  return `${said}: lopsided. The model gets to see few of what is ${name(fewer)}; ${missing}.`;
}

interface Wording {
  title: string;
  more: string;
  less: string;
  /** What the number is. */
  measure: string;
  shown: (value: number | null | undefined) => string;
}

const whole = (value: number | null | undefined) => decimal(value, 0);

/** Each feature of an image as people speak of it. */
export const FEATURES: Record<Feature, Wording> = {
  brightness: {
    title: "Brightness",
    more: "brighter",
    less: "darker",
    measure: "mean luma, 0 black to 255 white",
    shown: whole,
  },
  contrast: {
    title: "Contrast",
    more: "richer in contrast",
    less: "flatter",
    measure: "spread of the luma, 0 to 127",
    shown: whole,
  },
  saturation: {
    title: "Saturation",
    more: "more saturated",
    less: "paler",
    measure: "0 grey to 1 pure colour",
    shown: (value) => decimal(value, 2),
  },
  colourfulness: {
    title: "Colourfulness",
    more: "more colourful",
    less: "less colourful",
    measure: "Hasler and Süsstrunk’s measure; 109 is extreme",
    shown: whole,
  },
};

/** From which size on a difference or a correlation has which word; the first is nothing at all. */
type Steps = readonly [number, number, number];

/** J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988: d, then r. */
const DIFFERENCE: Steps = [0.2, 0.5, 0.8];
const CORRELATION: Steps = [0.1, 0.3, 0.5];

function degree(size: number, [little, clear, much]: Steps): "" | "a little" | "clearly" | "much" {
  if (size < little) return "";
  return size < clear ? "a little" : size < much ? "clearly" : "much";
}

/** How the two classes differ in one feature, with their medians and means. */
export function compared(feature: Feature, bait: Spread, real: Spread): string {
  const { more, less, shown, title } = FEATURES[feature];
  const [ofBait, ofReal] = [bait.percentiles.p50 ?? null, real.percentiles.p50 ?? null];
  if (ofBait === null || ofReal === null) {
    return `Only one class has images: its median is ${shown(ofBait ?? ofReal)}.`;
  }
  const numbers =
    `median ${shown(ofBait)} against ${shown(ofReal)}, ` +
    `mean ${shown(bait.mean)} against ${shown(real.mean)}`;
  const spread = Math.hypot(bait.sd ?? 0, real.sd ?? 0) / Math.SQRT2;
  const difference = ofBait - ofReal;
  const size = difference === 0 ? 0 : Math.abs(difference) / spread;
  const how = degree(size, DIFFERENCE);
  if (!how) return `${title} hardly tells the classes apart: ${numbers}.`;
  return `Clickbait is ${how} ${difference > 0 ? more : less}: ${numbers}.`;
}

/** What one feature has to do with what the model says, from Spearman's rho. */
export function effect({
  name,
  with_probability: rho,
  reason,
}: Pick<Schemas["FeatureEffect"], "name" | "with_probability" | "reason">): string {
  const { more, less, title } = FEATURES[name];
  if (rho === null) return `Not known: ${reason ?? "it was not measured"}.`;
  const how = degree(Math.abs(rho), CORRELATION);
  if (!how) return `${title} hardly matters to the verdict.`;
  const which = rho > 0 ? more : less;
  return `${which[0]?.toUpperCase()}${which.slice(1)} images are called clickbait ${how} more often.`;
}

/** A correlation with its sign, as it is usually written. */
export function signed(rho: number | null): string {
  if (rho === null) return NONE;
  const size = decimal(Math.abs(rho), 2);
  return Number(size) === 0 ? size : `${rho < 0 ? "−" : "+"}${size}`;
}

/** The label that a key's folder names: what lies in `train/legitimate/` is legitimate. */
export const labelOfKey = (key: string): Label =>
  /^train\/(legitimate|clickbait_real)\//.test(key) ? REAL : BAIT;

/** The file's name, without its folders. */
export const fileOf = (key: string): string => key.slice(key.lastIndexOf("/") + 1);

/** Families under both labels first: somebody has to look at those. */
export const doubtedFirst = <F extends Pick<Schemas["Family"], "labels">>(items: F[]): F[] => [
  ...items.filter((family) => family.labels.length > 1),
  ...items.filter((family) => family.labels.length <= 1),
];
