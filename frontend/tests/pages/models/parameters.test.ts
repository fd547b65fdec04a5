import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { FIELDS, type Name, parametersOf } from "../../../src/pages/models/parameters";

it("an empty field means the recipe's value", () => {
  expect(parametersOf(new FormData())).toEqual({
    architecture: null,
    epochs: null,
    batch_size: null,
    learning_rate: null,
    validation_split: null,
    from_scratch: false,
    skip_label_check: false,
    method: null,
    own_weight: null,
  });
});

it("filled fields are sent as numbers", () => {
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

interface Schema {
  type?: string;
  minimum?: number;
  maximum?: number;
  enum?: string[];
  anyOf?: Schema[];
}

it("every parameter has the kind and range of the API's document", () => {
  const document = new URL("../../../../openapi.json", import.meta.url);
  const { components } = JSON.parse(readFileSync(document, "utf8"));
  const known: Record<string, Schema> = components.schemas.Parameters.properties;
  expect(Object.keys(FIELDS).toSorted()).toEqual(Object.keys(known).toSorted());
  for (const [name, schema] of Object.entries(known)) {
    const field = FIELDS[name as Name];
    const { type, minimum, maximum, enum: choices } = schema.anyOf?.[0] ?? schema;
    if (field.kind === "switch") expect(type).toBe("boolean");
    else if (field.kind === "choice" || field.kind === "dial")
      expect(field.choices.map(({ value }) => value)).toEqual(choices);
    else
      expect([name, field.kind, field.least, field.most]).toEqual([name, type, minimum, maximum]);
  }
});
