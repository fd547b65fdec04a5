/** What a retraining may be told: each parameter of the API with its words, range and place. */
import type { Schemas } from "../../api/client";

export type Parameters = Schemas["Parameters"];
export type Name = keyof Parameters;

interface Common {
  label: string;
  hint: string;
  /** Behind "Advanced", for it is seldom needed. */
  advanced: boolean;
}

export type Field = Common &
  (
    | { kind: "integer" | "number"; least: number; most: number }
    | { kind: "choice"; choices: readonly { value: string; label: string }[] }
    | { kind: "switch" }
  );

/** Every parameter that there is: the compiler says when the API has another one. */
export const FIELDS: Record<Name, Field> = {
  epochs: {
    label: "Epochs",
    hint: "Most passes over the images. Left empty, it is as many as the new images are worth.",
    kind: "integer",
    least: 1,
    most: 200,
    advanced: false,
  },
  skip_label_check: {
    label: "Skip the label check",
    hint: "Train although the live model contradicts the labels. Look at those images first.",
    kind: "switch",
    advanced: false,
  },
  from_scratch: {
    label: "Start from scratch",
    hint: "Do not start from the live model’s weights. It takes longer, and forgets what only they know.",
    kind: "switch",
    advanced: true,
  },
  architecture: {
    label: "Architecture",
    hint: "Another one than the live model’s is trained from scratch.",
    kind: "choice",
    choices: [
      { value: "efficientnet_lite0", label: "EfficientNet-Lite0, pretrained" },
      { value: "cnn", label: "A small CNN" },
    ],
    advanced: true,
  },
  batch_size: {
    label: "Batch size",
    hint: "Images a step.",
    kind: "integer",
    least: 1,
    most: 512,
    advanced: true,
  },
  learning_rate: {
    label: "Learning rate",
    hint: "At its peak.",
    kind: "number",
    least: 1e-6,
    most: 0.1,
    advanced: true,
  },
  validation_split: {
    label: "Validation share",
    hint: "Of the images that get a side now; those that have one keep it.",
    kind: "number",
    least: 0.05,
    most: 0.5,
    advanced: true,
  },
};

/** The parameters that a filled form asks for; what is left empty is the recipe's. */
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
  };
}
