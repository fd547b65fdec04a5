import { describe, expect, it } from "vitest";
import { checkText, gateOf } from "../../../src/pages/models/gate";
import {
  adviceOf,
  change,
  counts,
  headline,
  improvementOf,
  methodText,
  unsureOf,
  worldText,
} from "../../../src/pages/models/improvement";

const figures = (right: number, images = 91, unsure = 0.2) => ({
  images,
  right,
  accuracy: right / images,
  auc: 0.8,
  brier: 0.2,
  ece: 0.05,
  unsure,
  sure_accuracy: null,
});

const gate = (after: object, before: object, more: object = {}) => ({
  passed: true,
  reason: "",
  checks: [],
  own: { candidate: after, champion: before },
  world: { candidate: figures(84, 100), champion: figures(84, 100) },
  ...more,
});

const found = (after: object, before: object) => improvementOf(gate(after, before))!;

describe("the first lines after a training", () => {
  it("do not call a model worse that is closer to the labels", () => {
    const closer = found({ ...figures(56), brier: 0.1 }, figures(58));
    expect(headline(closer)).toBe("Closer to your labels, right on fewer: 64% → 62%");
    expect(headline(found(figures(56), figures(58)))).toBe("Worse on your images: 64% → 62%");
  });

  it("say how many answers on the owner's images are right, before and after", () => {
    const better = found(figures(71), figures(56));
    expect(headline(better)).toBe("Better on your images: 62% → 78%");
    expect(counts(better)).toContain("Right on 71 of 91 of your images, before on 56.");
    expect(worldText(better.world!)).toBe(
      "On thumbnails of the kind it was shipped for: 84% right, before 84%.",
    );
  });

  it("do not call a change better that is none, or worse", () => {
    expect(headline(found(figures(56), figures(56)))).toBe("As good on your images: 62%");
    expect(headline(found(figures(50), figures(56)))).toBe("Worse on your images: 62% → 55%");
  });

  it("have more digits if the shares look the same", () => {
    expect(change(found(figures(501, 1000), figures(500, 1000)).own)).toBe("50.0% → 50.1%");
  });

  it("warn if the model is unsure much more often", () => {
    expect(unsureOf(found(figures(71, 91, 0.65), figures(56, 91, 0.19)))).toEqual({
      text: "Unsure about 65% of your images, before about 19%.",
      much: true,
    });
    expect(unsureOf(found(figures(71, 91, 0.25), figures(56, 91, 0.19)))?.much).toBe(false);
  });

  it("are missing for gates that did not measure the owner's images", () => {
    expect(improvementOf({ passed: true, checks: [], sets: {} })).toBeNull();
    expect(improvementOf(gate({}, {}))).toBeNull();
    expect(improvementOf(undefined)).toBeNull();
    expect(adviceOf(null)).toBe("");
  });

  it("name the method and its images", () => {
    expect(methodText("small_update", 60)).toBe("Small update: 60 images");
    expect(methodText("fine_tuning", null)).toBe("Fine-tuning");
  });
});

it("each check of a small update has words of its own", () => {
  const names = [
    "a change is called for",
    "brier, own",
    "auc above chance, own",
    "auc, own",
    "auc against champion, world",
    "auc against shipped, world",
    "ece, own",
    "unsure, own",
    "enough images",
  ];
  const texts = names.map((name) =>
    checkText({ name, passed: true, value: 0.01, limit: 0.02, detail: "" }),
  );
  expect(texts.map(({ title }) => title)).toEqual([
    "Need for a change",
    "Brier score against the live model, your images",
    "Better than chance, your images",
    "AUC against the live model, your images",
    "AUC against the live model, thumbnails of the shipped kind",
    "AUC against the shipped model, thumbnails of the shipped kind",
    "Calibration error, your images",
    "Unsure answers, your images",
    "Enough of your images",
  ]);
  expect(texts.every(({ found: value, required }) => value && required)).toBe(true);
  expect(gateOf(gate(figures(1), figures(1)))?.passed).toBe(true);
});
