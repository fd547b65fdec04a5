/** Small pictures of a batch's files, for its table: few bytes each, so that thousands are cheap. */

/** Pixels of a thumbnail's width, twice as many as it is shown with. */
export const WIDTH = 96;
export const HEIGHT = 54;

/** Files of a batch that get one: 3 kB each, and nobody looks at more. */
export const MOST = 2_000;

const QUALITY = 0.7;

/** A thumbnail of `image`, filled as a cover; null where this browser cannot read it. */
export async function thumbnailOf(image: Blob): Promise<Blob | null> {
  try {
    // Decoding to this size takes place beside the page, and never holds the whole image here.
    const bitmap = await createImageBitmap(image, { resizeWidth: WIDTH, resizeQuality: "medium" });
    const canvas = new OffscreenCanvas(WIDTH, HEIGHT);
    const context = canvas.getContext("2d");
    if (!context) return null;
    context.fillStyle = "#fff";
    context.fillRect(0, 0, WIDTH, HEIGHT);
    const scale = Math.max(1, HEIGHT / bitmap.height);
    const [width, height] = [WIDTH * scale, bitmap.height * scale];
    context.drawImage(bitmap, (WIDTH - width) / 2, (HEIGHT - height) / 2, width, height);
    bitmap.close();
    return await canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
  } catch {
    return null;
  }
}
