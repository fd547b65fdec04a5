import { expect, it } from "vitest";
import { FIELDS, parametersOf } from "../../../src/pages/models/parameters";

it("what is left empty is the recipe's", () => {
  expect(parametersOf(new FormData())).toEqual({
    architecture: null,
    epochs: null,
    batch_size: null,
    learning_rate: null,
    validation_split: null,
    from_scratch: false,
    skip_label_check: false,
  });
});

it("what is filled in is asked for, as numbers", () => {
  const form = new FormData();
  form.set("epochs", " 3 ");
  form.set("learning_rate", "0.0003");
  form.set("architecture", "cnn");
  form.set("skip_label_check", "on");
  expect(parametersOf(form)).toMatchObject({
    epochs: 3,
    learning_rate: 0.0003,
    architecture: "cnn",
    skip_label_check: true,
    from_scratch: false,
  });
});

it("every parameter has a label and a hint", () => {
  for (const field of Object.values(FIELDS)) {
    expect(field.label && field.hint).toBeTruthy();
  }
});
