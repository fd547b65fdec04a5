/** The parameters of a training: each with its label, hint, range and place in the form. */
import type { Schemas } from "../../api/client";

export type Parameters = Schemas["Parameters"];
export type Name = keyof Parameters;

interface Common {
  label: string;
  hint: string;
  /** Under "More", because it is rarely needed. */
  advanced: boolean;
}

interface Step {
  value: string;
  label: string;
  /** Its meaning, in one line. */
  hint: string;
}

export type Field = Common &
  (
    | { kind: "integer" | "number"; least: number; most: number }
    | { kind: "choice"; empty: string; choices: readonly { value: string; label: string }[] }
    | { kind: "dial"; usual: string; choices: readonly Step[] }
    | { kind: "switch" }
  );

/** Every parameter; the compiler reports one that is missing here. */
export const FIELDS: Record<Name, Field> = {
  own_weight: {
    label: "How far may it follow your labels?",
    hint: "For a small update. The new model goes live only if it stays within this.",
    kind: "dial",
    usual: "balanced",
    choices: [
      {
        value: "stay_close",
        label: "Stay close to the shipped model",
        hint: "Learns a little from your labels, and stays almost as good on all other thumbnails.",
      },
      {
        value: "balanced",
        label: "Balanced",
        hint: "Learns your labels, and keeps most of what the shipped model knows.",
      },
      {
        value: "follow_labels",
        label: "Follow my labels",
        hint: "Your labels decide. It may forget thumbnails that are unlike yours.",
      },
    ],
    advanced: false,
  },
  skip_label_check: {
    label: "Skip the label check",
    hint: "Train even if the live model disagrees with the labels. Review those images first.",
    kind: "switch",
    advanced: false,
  },
  method: {
    label: "Method",
    hint: "A small update learns the last layer only; fine-tuning trains the whole network.",
    kind: "choice",
    empty: "Automatic, by the number of your images",
    choices: [
      { value: "small_update", label: "Small update (seconds)" },
      { value: "fine_tuning", label: "Fine-tuning (minutes)" },
    ],
    advanced: true,
  },
  epochs: {
    label: "Epochs",
    hint: "Maximum training passes. Setting it means fine-tuning.",
    kind: "integer",
    least: 1,
    most: 200,
    advanced: true,
  },
  from_scratch: {
    label: "Start from scratch",
    hint: "Ignore the live model’s weights. Training takes longer and loses what only they know.",
    kind: "switch",
    advanced: true,
  },
  architecture: {
    label: "Architecture",
    hint: "A different one from the live model’s is trained from scratch.",
    kind: "choice",
    empty: "Same as the live model",
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

/** The label of a choice, for instance "Balanced"; undefined if the form has no such choice. */
export function choiceText(name: string, value: unknown): string | undefined {
  const field = Object.entries(FIELDS).find(([one]) => one === name)?.[1];
  const choices = field && "choices" in field ? field.choices : [];
  return choices.find((one) => one.value === value)?.label;
}

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
