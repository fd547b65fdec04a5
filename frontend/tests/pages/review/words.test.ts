import { expect, it } from "vitest";
import { actText, whyText } from "../../../src/pages/review/words";

it("the reason is that of the queue, or says that the model has learned since", () => {
  const unsure = { why: "unsure", label: null, probability: 0.48 } as const;
  expect(whyText(unsure, true)).toBe("The model is unsure: from 25% to 75% it is often wrong.");
  expect(whyText(unsure, false)).toBe("An earlier answer was unsure: 48% clickbait.");
  expect(whyText({ ...unsure, label: "clickbait_fake" }, false)).toBe(
    "An earlier answer was unsure: 48% clickbait. The image is labelled clickbait.",
  );
  const labelled = { why: "surprising", label: "clickbait_real", probability: 0.9 } as const;
  expect(whyText(labelled, false)).toBe("It is labelled legitimate. The model disagrees.");
});

it("a step is announced in a few words", () => {
  expect(actText("clickbait_fake", ["a.jpg"])).toBe("a.jpg: clickbait");
  expect(actText("clickbait_real", ["a.jpg", "b.jpg"])).toBe("2 images: legitimate");
  expect(actText(null, ["a.jpg"])).toBe("Skipped a.jpg");
});
