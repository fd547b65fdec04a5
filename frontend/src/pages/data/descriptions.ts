/** The features of images and what their figures mean, in plain sentences. */
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

/** Shares of the smaller class from which classes are balanced, or only somewhat uneven. */
const EVEN = 0.4;
const UNEVEN = 0.25;

/** The balance of the two classes, and how many images would even it out. */
export function balance(counts: Record<Label, number>): string {
  const [fewer, more]: readonly [Label, Label] =
    counts[REAL] <= counts[BAIT] ? [REAL, BAIT] : [BAIT, REAL];
  const [few, many] = [counts[fewer], counts[more]];
  const name = (label: Label) => (label === BAIT ? "clickbait" : "legitimate");
  if (few === 0) {
    return `No ${name(fewer)} images yet. Training needs both classes.`;
  }
  const share = few / (few + many);
  const start = `${percent(counts[BAIT] / (few + many), 0)} clickbait`;
  if (share >= EVEN) return `${start}: well balanced.`;
  const missing = `${plural(many - few, `more ${name(fewer)} image`)} would balance them.`;
  if (share >= UNEVEN) {
    return `${start}: somewhat uneven, but training weighs both classes equally. ${missing}`;
  }
  return `${start}: unbalanced. The model sees few ${name(fewer)} images. ${missing}`;
}

interface Wording {
  title: string;
  more: string;
  less: string;
  /** The unit or meaning of the number. */
  measure: string;
  shown: (value: number | null | undefined) => string;
}

const whole = (value: number | null | undefined) => decimal(value, 0);

/** Each feature of an image in everyday words. */
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
    more: "higher in contrast",
    less: "lower in contrast",
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

/** Thresholds for the words below; smaller sizes count as nothing. */
type Steps = readonly [number, number, number];

/** J. Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988: d, then r. */
const DIFFERENCE: Steps = [0.2, 0.5, 0.8];
const CORRELATION: Steps = [0.1, 0.3, 0.5];

function degree(size: number, [little, clear, much]: Steps): "" | "slightly" | "clearly" | "far" {
  if (size < little) return "";
  return size < clear ? "slightly" : size < much ? "clearly" : "far";
}

/** How the two classes differ in one feature, with their medians and means. */
export function compared(feature: Feature, bait: Spread, real: Spread): string {
  const { more, less, shown, title } = FEATURES[feature];
  const [ofBait, ofReal] = [bait.percentiles.p50 ?? null, real.percentiles.p50 ?? null];
  if (ofBait === null || ofReal === null) {
    return `Only one class has images; its median is ${shown(ofBait ?? ofReal)}.`;
  }
  const numbers =
    `median ${shown(ofBait)} and ${shown(ofReal)}, ` +
    `mean ${shown(bait.mean)} and ${shown(real.mean)}`;
  const spread = Math.hypot(bait.sd ?? 0, real.sd ?? 0) / Math.SQRT2;
  const difference = ofBait - ofReal;
  const size = difference === 0 ? 0 : Math.abs(difference) / spread;
  const how = degree(size, DIFFERENCE);
  if (!how) return `${title} is about the same in both classes: ${numbers}.`;
  return `Clickbait is ${how} ${difference > 0 ? more : less}: ${numbers}.`;
}

/** How one feature relates to the model's verdicts, from Spearman's rho. */
export function effect({
  name,
  with_probability: rho,
  reason,
}: Pick<Schemas["FeatureEffect"], "name" | "with_probability" | "reason">): string {
  const { more, less, title } = FEATURES[name];
  if (rho === null) return `Unknown: ${reason ?? "not measured"}.`;
  const how = degree(Math.abs(rho), CORRELATION);
  if (!how) return `${title} has little effect on the verdict.`;
  const which = rho > 0 ? more : less;
  return `${which[0]?.toUpperCase()}${which.slice(1)} images are ${how} more often called clickbait.`;
}

/** A correlation with its sign. */
export function signed(rho: number | null): string {
  if (rho === null) return NONE;
  const size = decimal(Math.abs(rho), 2);
  return Number(size) === 0 ? size : `${rho < 0 ? "−" : "+"}${size}`;
}

/** The label of a key, from its folder: `train/legitimate/` or `train/clickbait/`. */
export const labelOfKey = (key: string): Label =>
  /^train\/(legitimate|clickbait_real)\//.test(key) ? REAL : BAIT;

/** The file name without its folders. */
export const fileOf = (key: string): string => key.slice(key.lastIndexOf("/") + 1);

/** Families with both labels first: they need a decision. */
export const doubtedFirst = <F extends Pick<Schemas["Family"], "labels">>(items: F[]): F[] => [
  ...items.filter((family) => family.labels.length > 1),
  ...items.filter((family) => family.labels.length <= 1),
];
