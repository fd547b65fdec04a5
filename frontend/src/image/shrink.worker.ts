/** Resizes images off the main thread, so that the page stays responsive. */
import { fitted, QUALITIES, type Size, TARGET } from "./size";

export interface Shrunk {
  blob: Blob;
  original: Size;
  size: Size;
}

async function shrink(file: File, whole: boolean): Promise<Shrunk> {
  const bitmap = await createImageBitmap(file);
  const original = { width: bitmap.width, height: bitmap.height };
  const size = whole ? original : fitted(original);
  const canvas = new OffscreenCanvas(size.width, size.height);
  const context = canvas.getContext("2d");
  if (!context) throw new Error("no 2d canvas");
  // Transparent areas become white, as in the service.
  context.fillStyle = "#fff";
  context.fillRect(0, 0, size.width, size.height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, size.width, size.height);
  bitmap.close();
  for (const quality of QUALITIES) {
    const blob = await canvas.convertToBlob({ type: "image/jpeg", quality });
    const last = whole || quality === QUALITIES.at(-1);
    if (blob.size <= TARGET || last) return { blob, original, size };
  }
  throw new Error("no quality");
}

/** `whole`: at its own size, only as a JPEG. */
export interface Job {
  id: number;
  file: File;
  whole: boolean;
}

self.onmessage = async (event: MessageEvent<Job>) => {
  const { id, file, whole } = event.data;
  try {
    self.postMessage({ id, shrunk: await shrink(file, whole) });
  } catch (error) {
    self.postMessage({ id, error: String(error) });
  }
};
