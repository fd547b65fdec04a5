/** How large an image is sent, and which are sent as they are. */

/**
 * Pixels of the shorter side after shrinking: twice the 224 that the model sees, so that the
 * service's own scaling, not the browser's, decides what it sees.
 */
export const SHORT_SIDE = 448;

/** Pixels of the longer side at most: what is drawn out further loses height instead. */
export const LONG_SIDE = 1_600;

/** Bytes up to which an image is sent as it is: shrinking it would save no time. */
export const SMALL_ENOUGH = 120_000;

/** Bytes of a shrunk image at most; quality goes down step by step until it is reached. */
export const TARGET = 190_000;

export const QUALITIES = [0.92, 0.85, 0.75, 0.6] as const;

/** What the browser decodes that is sent shrunk; what it cannot read the service is to judge. */
const SHRINKABLE = /^image\/(jpeg|png|webp|avif|bmp|heic|heif)$/;

/** Bytes at a file's beginning that tell whether it is an animation. */
export const HEAD = 4_096;

export interface Size {
  width: number;
  height: number;
}

/** The size to shrink to, with the shape kept; the same one where it is small already. */
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

/** Whether a PNG or WebP that begins with `head` moves: which frame is meant is not ours to guess. */
export function isAnimated(head: Uint8Array): boolean {
  const text = new TextDecoder("latin1").decode(head);
  const webp = text.startsWith("RIFF") && text.slice(8, 16) === "WEBPVP8X";
  if (webp) return ((head[20] ?? 0) & 0x02) !== 0;
  return text.startsWith("\x89PNG") && text.includes("acTL");
}
