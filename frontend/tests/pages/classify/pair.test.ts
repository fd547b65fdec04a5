import { expect, it } from "vitest";
import { comparedText } from "../../../src/pages/classify/compared";

const image = (name: string, probability: number) => ({ name, answer: { probability } });

it("the one that looks less like clickbait is named, in either order", () => {
  const text = "calm.jpg looks less like clickbait: 12%, against 81% for loud.jpg.";
  expect(comparedText(image("loud.jpg", 0.81), image("calm.jpg", 0.12))).toBe(text);
  expect(comparedText(image("calm.jpg", 0.12), image("loud.jpg", 0.81))).toBe(text);
});

it("a small difference is no difference", () => {
  expect(comparedText(image("a.jpg", 0.81), image("b.jpg", 0.84))).toBe(
    "Both look about the same to the model: 81% and 84% clickbait.",
  );
});
