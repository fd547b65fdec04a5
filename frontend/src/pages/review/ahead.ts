/** The next images and their predictions, loaded before they are shown. */
import { api, ask, type Schemas } from "../../api/client";
import type { Item } from "./words";

export type Detail = Schemas["ReviewImage"];

/** Images loaded ahead, and predictions, each of which costs the service an inference. */
const IMAGES_AHEAD = 4;
const DETAILS_AHEAD = 2;

/** Kept for undo. */
const REMEMBERED = 24;

const details = new Map<string, Promise<Detail>>();
const images = new Map<string, HTMLImageElement>();

function keep<T>(map: Map<string, T>, id: string, value: T): T {
  map.set(id, value);
  for (const old of map.keys()) {
    if (map.size <= REMEMBERED) break;
    map.delete(old);
  }
  return value;
}

/** The live model's prediction for an image, and a new link to it; throws Problem. */
export function detailOf(id: string): Promise<Detail> {
  const found = details.get(id);
  if (found) return found;
  const params = { path: { review: id } };
  const asked = ask(api().GET("/review/{review}", { params }));
  asked.catch(() => details.delete(id));
  return keep(details, id, asked);
}

/** Forget what was loaded of an image, because its link has expired. */
export function forget(id: string): void {
  details.delete(id);
  images.delete(id);
}

function imageOf({ id, url }: Item): HTMLImageElement {
  const found = images.get(id);
  if (found) return found;
  const image = new Image();
  image.src = url;
  return keep(images, id, image);
}

/** Load what the next decisions will show. */
export function lookAhead(waiting: readonly Item[]): void {
  for (const item of waiting.slice(0, IMAGES_AHEAD)) imageOf(item);
  // A failure is reported when the image is shown.
  for (const { id } of waiting.slice(0, DETAILS_AHEAD)) detailOf(id).catch(() => undefined);
}

/** Width by height, if the image is loaded. */
export function ratioOf(id: string): number | undefined {
  const { naturalWidth = 0, naturalHeight = 0 } = images.get(id) ?? {};
  return naturalHeight > 0 ? naturalWidth / naturalHeight : undefined;
}
