/** Small pictures of a batch's files for its table: a few kB each, so that thousands are cheap. */

/** Pixels of a thumbnail, for twice the density of the screen. */
export const WIDTH = 96;
export const HEIGHT = 54;

/** Files of a batch that get one: 3 kB each, and few people page further. */
export const MAX_THUMBNAILS = 2_000;

const QUALITY = 0.7;

/** A thumbnail of `image`, cropped to fill; null if this browser cannot read it. */
export async function thumbnailOf(image: Blob): Promise<Blob | null> {
  try {
    // Decoding to this size runs off the main thread, and never holds the whole image here.
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
