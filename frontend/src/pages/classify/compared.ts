/** The comparison of two images, in words. */
import { percent } from "../../format";

/** Probabilities that differ by less are a tie. */
const TIE = 0.05;

interface Named {
  name: string;
  answer: { probability: number };
}

/** One sentence: which of two looks less like clickbait. */
export function comparedText(one: Named, other: Named): string {
  const [less, more] =
    one.answer.probability <= other.answer.probability ? [one, other] : [other, one];
  const [low, high] = [percent(less.answer.probability), percent(more.answer.probability)];
  if (more.answer.probability - less.answer.probability < TIE) {
    return `Both look about the same to the model: ${low} and ${high} clickbait.`;
  }
  return `${less.name} looks less like clickbait: ${low}, against ${high} for ${more.name}.`;
}
