/** Labels for images that only this tab has: each is sent as a correction, with its image. */
import { api, asForm, ask, form } from "../../api/client";
import { admin } from "../../api/session";
import { Decisions, type Service } from "../../store/decisions";
import type { Judging } from "./judge";
import type { QuickBatch } from "./quick-batch";

interface Sent {
  feedback: string;
  /** The key of the training image, once the correction is accepted. */
  key?: string;
}

/** The id of an object in the API: its key in base64url without padding. */
export const idOf = (key: string): string =>
  btoa(String.fromCharCode(...new TextEncoder().encode(key)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

function serviceOf({ images, names, rows }: QuickBatch): Service {
  const sent = new Map<string, Sent>();
  return {
    // One image a request; the others follow, because they stay open.
    async label([id = ""], label) {
      const place = Number(id);
      const row = rows[place];
      const image = images[place] as File;
      let correction = sent.get(id);
      if (!correction) {
        const { id: feedback } = await ask(
          api().POST("/feedback", {
            body: form({
              file: new File([image], names[place] ?? image.name, { type: image.type }),
              label,
              prediction: row?.prediction ?? undefined,
              model_version: row?.model_version ?? undefined,
            }) as never,
            ...asForm,
          }),
        );
        correction = { feedback };
        sent.set(id, correction);
      }
      if (!admin.value) return [{ id, outcome: "waiting" }];
      const params = { path: { feedback: correction.feedback } };
      const { key } = await ask(api().POST("/feedback/{feedback}/accept", { params }));
      sent.set(id, { ...correction, key });
      return [{ id, outcome: "training" }];
    },
    async undo(id) {
      const { feedback, key } = sent.get(id) as Sent;
      if (key) {
        const params = { path: { image: idOf(key) } };
        await ask(api().DELETE("/dataset/images/{image}", { params }));
      } else {
        await ask(api().POST("/feedback/{feedback}/reject", { params: { path: { feedback } } }));
      }
      sent.delete(id);
    },
  };
}

/** By the names of a batch, which it keeps when its results arrive. */
const known = new WeakMap<readonly string[], Judging>();

/** How the complete results of `of` are labelled. */
export function quickLabels(of: QuickBatch): Judging {
  const found = known.get(of.names);
  if (found) return found;
  const decisions = new Decisions(serviceOf(of), null);
  const judging = { decisions, idOf: String };
  known.set(of.names, judging);
  return judging;
}
