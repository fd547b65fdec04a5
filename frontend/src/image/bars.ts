/** Where a heat map lies: the model does not see the black bars of a picture. */
import type { Schemas } from "../api/client";

type Facts = Pick<Schemas["ImageFacts"], "width" | "height" | "trimmed">;

/** The place of the picture inside of its bars, as CSS in percent of the whole picture. */
export function insideBars({ width, height, trimmed }: Facts) {
  if (!trimmed) return {};
  const { left, top, right, bottom } = trimmed;
  return {
    left: `${(100 * left) / width}%`,
    top: `${(100 * top) / height}%`,
    width: `${(100 * (width - left - right)) / width}%`,
    height: `${(100 * (height - top - bottom)) / height}%`,
  };
}
