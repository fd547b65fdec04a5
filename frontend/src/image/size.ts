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
