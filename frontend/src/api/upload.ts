/** Past the API: an image straight to the bucket, by a form that the service signed. */

import { api, ask, type Schemas } from "./client";
import { asProblem, isAbort, Problem } from "./problem";
import { config } from "./session";

export type UploadForm = Pick<Schemas["UploadForm"], "url" | "fields">;

/** Bytes that the API itself takes; a larger image goes by way of the bucket. */
export const API_LIMIT = 4 * 1024 * 1024;

/** Content types that a form can be asked for. */
export const UPLOADABLE = ["image/jpeg", "image/png", "image/webp"] as const;
export type Uploadable = (typeof UPLOADABLE)[number];

export const uploadable = (type: string): type is Uploadable =>
  (UPLOADABLE as readonly string[]).includes(type);

/** Send `file` by `form`; throws Problem, with S3's own words where it refused. */
export async function upload(form: UploadForm, file: Blob, signal?: AbortSignal): Promise<void> {
  const body = new FormData();
  for (const [name, value] of Object.entries(form.fields)) body.append(name, value);
  body.append("file", file); // S3 reads nothing behind the file.
  let answer: Response;
  try {
    answer = await fetch(form.url, { method: "POST", body, ...(signal ? { signal } : {}) });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw asProblem(error, new URL(form.url).host);
  }
  if (answer.ok) return;
  const said = new DOMParser().parseFromString(await answer.text(), "text/xml");
  const reason = said.querySelector("Message")?.textContent ?? "It gave no reason.";
  throw new Problem("The bucket did not take the image", reason, answer.status);
}

/** Upload one image to be predicted by its key; returns the key. */
export async function uploadImage(file: File, signal?: AbortSignal): Promise<string> {
  const type = uploadable(file.type) ? file.type : "image/jpeg";
  const forms = await ask(
    api().POST("/uploads", { body: { purpose: "image", content_type: type, count: 1 } }),
  );
  const [form] = forms.items;
  if (!form) throw new Problem("No form to upload with", `${config.value.api} gave none.`, -1);
  await upload(form, file, signal);
  return form.key;
}
