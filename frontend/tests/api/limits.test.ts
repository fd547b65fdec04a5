import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import {
  MAX_FILES,
  MAX_FORMS,
  MAX_ID,
  MAX_IMAGES,
  MAX_NAME,
  MAX_ROWS,
  MAX_TITLE,
} from "../../src/api/limits";
import { REASON } from "../../src/ui/reason";

it("the page's limits are those of the API's document", () => {
  const document = new URL("../../../openapi.json", import.meta.url);
  const { paths, components } = JSON.parse(readFileSync(document, "utf8"));
  const of = (path: string, name: string) =>
    paths[path].get.parameters.find((one: { name: string }) => one.name === name).schema;
  const { BatchTitle, NewBatch, Promotion, TrainingUpload } = components.schemas;
  const form = paths["/predict-batch"].post.requestBody.content["multipart/form-data"].schema;
  expect({
    MAX_IMAGES: form.properties.files.maxItems,
    MAX_FILES: NewBatch.properties.files.maxItems,
    MAX_NAME: NewBatch.properties.files.items.maxLength,
    MAX_ID: of("/batches/{batch}", "batch").maxLength,
    MAX_TITLE: BatchTitle.properties.name.anyOf[0].maxLength,
    MAX_FORMS: TrainingUpload.properties.count.maximum,
    MAX_ROWS: of("/batches/{batch}/results", "limit").maximum,
    REASON: {
      least: Promotion.properties.reason.minLength,
      most: Promotion.properties.reason.maxLength,
    },
  }).toEqual({ MAX_IMAGES, MAX_FILES, MAX_NAME, MAX_ID, MAX_TITLE, MAX_FORMS, MAX_ROWS, REASON });
});
