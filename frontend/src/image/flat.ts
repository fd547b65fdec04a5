/** Whether an image has one colour only: then nothing in it speaks for or against clickbait. */

/** Samples in each direction: a stroke of a letter is wider than the gaps between them. */
const SIDE = 128;
/** Levels of 255 between the extremes of a channel: compression makes as many. */
const LEVELS = 4;

/** False if this browser cannot read the image. Never throws. */
export async function isFlat(file: Blob): Promise<boolean> {
  try {
    const bitmap = await createImageBitmap(file);
    const context = new OffscreenCanvas(SIDE, SIDE).getContext("2d", { willReadFrequently: true });
    if (!context) return false;
    context.imageSmoothingEnabled = false; // An average would hide noise.
    context.drawImage(bitmap, 0, 0, SIDE, SIDE);
    bitmap.close();
    return flat(context.getImageData(0, 0, SIDE, SIDE).data);
  } catch {
    return false;
  }
}

/** `pixels`: red, green, blue and opacity of each. */
export function flat(pixels: ArrayLike<number>): boolean {
  const least = [255, 255, 255, 255];
  const most = [0, 0, 0, 0];
  for (let at = 0; at < pixels.length; at += 1) {
    const channel = at % 4;
    const value = pixels[at] ?? 0;
    least[channel] = Math.min(least[channel] ?? 0, value);
    most[channel] = Math.max(most[channel] ?? 0, value);
  }
  return most.every((value, channel) => value - (least[channel] ?? 0) <= LEVELS);
}
