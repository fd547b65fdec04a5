/** The parameters of a training: each with its label, hint, range and place in the form. */
import type { Schemas } from "../../api/client";

export type Parameters = Schemas["Parameters"];
export type Name = keyof Parameters;

interface Common {
  label: string;
  hint: string;
  /** Under "Advanced", because it is rarely needed. */
  advanced: boolean;
}

export type Field = Common &
  (
    | { kind: "integer" | "number"; least: number; most: number }
    | { kind: "choice"; choices: readonly { value: string; label: string }[] }
    | { kind: "switch" }
  );

/** Every parameter; the compiler reports one that is missing here. */
export const FIELDS: Record<Name, Field> = {
  own_weight: {
    label: "Your images or the shipped model",
    hint: "How far a small update may follow your labels. Leave empty for balanced.",
    kind: "choice",
    choices: [
      { value: "stay_close", label: "Stay close to the shipped model" },
      { value: "balanced", label: "Balanced" },
      { value: "follow_labels", label: "Follow my labels" },
    ],
    advanced: false,
  },
  epochs: {
    label: "Epochs",
    hint: "Maximum training passes. Leave empty for automatic.",
    kind: "integer",
    least: 1,
    most: 200,
    advanced: false,
  },
  skip_label_check: {
    label: "Skip the label check",
    hint: "Train even if the live model disagrees with the labels. Review those images first.",
    kind: "switch",
    advanced: false,
  },
  from_scratch: {
    label: "Start from scratch",
    hint: "Ignore the live model’s weights. Training takes longer and loses what only they know.",
    kind: "switch",
    advanced: true,
  },
  method: {
    label: "Method",
    hint: "Leave empty to let the number of images decide.",
    kind: "choice",
    choices: [
      { value: "small_update", label: "Small update, in seconds" },
      { value: "fine_tuning", label: "Fine-tuning, in minutes" },
    ],
    advanced: true,
  },
  architecture: {
    label: "Architecture",
    hint: "A different one from the live model’s is trained from scratch.",
    kind: "choice",
    choices: [
      { value: "efficientnet_lite0", label: "EfficientNet-Lite0, pretrained" },
      { value: "cnn", label: "Small CNN" },
    ],
    advanced: true,
  },
  batch_size: {
    label: "Batch size",
    hint: "Images per step.",
    kind: "integer",
    least: 1,
    most: 512,
    advanced: true,
  },
  learning_rate: {
    label: "Learning rate",
    hint: "Peak value.",
    kind: "number",
    least: 1e-6,
    most: 0.1,
    advanced: true,
  },
  validation_split: {
    label: "Validation share",
    hint: "Share of the new images used for validation. Earlier images stay in their split.",
    kind: "number",
    least: 0.05,
    most: 0.5,
    advanced: true,
  },
};

/** The parameters of a filled form; an empty field means the recipe's value. */
export function parametersOf(form: FormData): Parameters {
  const text = (name: Name) => String(form.get(name) ?? "").trim();
  const number = (name: Name) => (text(name) === "" ? null : Number(text(name)));
  return {
    architecture: (text("architecture") || null) as Parameters["architecture"],
    epochs: number("epochs"),
    batch_size: number("batch_size"),
    learning_rate: number("learning_rate"),
    validation_split: number("validation_split"),
    from_scratch: form.has("from_scratch"),
    skip_label_check: form.has("skip_label_check"),
    method: (text("method") || null) as Parameters["method"],
    own_weight: (text("own_weight") || null) as Parameters["own_weight"],
  };
}
