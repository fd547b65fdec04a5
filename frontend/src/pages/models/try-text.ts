/** The change between the verdicts of two versions on one image, in a sentence. */
import { percent } from "../../format";
import { type Judged, verdictOf } from "../../ui/verdict";

export function changeText({ before, after }: { before: Judged; after: Judged }): string {
  const [was, is] = [verdictOf(before), verdictOf(after)];
  const [from, to] = [percent(before.probability), percent(after.probability)];
  if (was !== is) return `${was} before, ${is.toLowerCase()} now: ${from} to ${to} clickbait.`;
  return from === to
    ? `${is}, as before: ${to} clickbait.`
    : `${is}, as before: ${from} to ${to} clickbait.`;
}
