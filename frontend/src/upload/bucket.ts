/** An image straight to the bucket, by a form that the service signed. */
import { api, ask, type Schemas } from "../api/client";
import { UPLOADABLE, type Uploadable } from "../api/limits";
import { asProblem, BucketProblem, isAbort, Problem } from "../api/problem";

export type UploadForm = Pick<Schemas["UploadForm"], "url" | "fields">;

export const uploadable = (type: string): type is Uploadable =>
  (UPLOADABLE as readonly string[]).includes(type);

/** Send `image` by `form`; throws Problem, with S3's own message if it refuses. */
export async function post(form: UploadForm, image: Blob, signal?: AbortSignal): Promise<void> {
  const body = new FormData();
  for (const [name, value] of Object.entries(form.fields)) body.append(name, value);
  body.append("file", image); // Last: S3 ignores every field after the file.
  let response: Response;
  try {
    response = await fetch(form.url, { method: "POST", body, ...(signal ? { signal } : {}) });
  } catch (error) {
    if (isAbort(error)) throw error;
    throw asProblem(error, new URL(form.url).host);
  }
  if (response.ok) return;
  const document = new DOMParser().parseFromString(await response.text(), "text/xml");
  const reason = document.querySelector("Message")?.textContent ?? "It gave no reason.";
  const title = /expired/i.test(reason)
    ? "The upload link has expired"
    : "The bucket refused the image";
  throw new BucketProblem(title, reason, response.status);
}

/** Upload one image to be predicted by its key; returns the key. */
export async function uploadImage(file: File, signal?: AbortSignal): Promise<string> {
  const type = uploadable(file.type) ? file.type : "image/jpeg";
  const forms = await ask(
    api().POST("/uploads", { body: { purpose: "image", content_type: type, count: 1 } }),
  );
  const [form] = forms.items;
  if (!form) throw new Problem("No upload form", "The service returned none. Try again.", -1);
  await post(form, file, signal);
  return form.key;
}
