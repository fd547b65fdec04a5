/** The size that images are sent at, and which are sent unchanged. */

/**
 * Pixels of the shorter side after resizing: twice the model's 224, so that the service's scaling,
 * not the browser's, decides what the model sees.
 */
export const SHORT_SIDE = 448;

/** Pixels of the longer side at most; wider images lose height instead. */
export const LONG_SIDE = 1_600;

/** Bytes up to which an image is sent unchanged: resizing it would save no time. */
export const SMALL_ENOUGH = 120_000;

/** Bytes of a resized image at most; the quality goes down until it fits. */
export const TARGET = 190_000;

export const QUALITIES = [0.92, 0.85, 0.75, 0.6] as const;

/** Types that browsers decode; the service judges all others. */
const SHRINKABLE = /^image\/(jpeg|png|webp|avif|bmp|heic|heif)$/;

/** Bytes at a file's beginning that show whether it is animated. */
export const HEAD = 4_096;

export interface Size {
  width: number;
  height: number;
}

/** The size to resize to, in the same proportions; unchanged if it is small already. */
export function fitted({ width, height }: Size): Size {
  const scale = Math.min(
    1,
    SHORT_SIDE / Math.min(width, height),
    LONG_SIDE / Math.max(width, height),
  );
  return {
    width: Math.max(1, Math.round(width * scale)),
    height: Math.max(1, Math.round(height * scale)),
  };
}

export const worthShrinking = (file: { type: string; size: number }): boolean =>
  file.size > SMALL_ENOUGH && SHRINKABLE.test(file.type);

/** Whether a PNG or WebP that begins with `head` is animated: the page must not pick a frame. */
export function isAnimated(head: Uint8Array): boolean {
  const text = new TextDecoder("latin1").decode(head);
  const webp = text.startsWith("RIFF") && text.slice(8, 16) === "WEBPVP8X";
  if (webp) return ((head[20] ?? 0) & 0x02) !== 0;
  return text.startsWith("\x89PNG") && text.includes("acTL");
}
