import { describe, expect, it } from "vitest";
import { checkText, gateOf } from "../../../src/pages/models/gate";
import {
  adviceOf,
  between,
  change,
  counts,
  headline,
  imagesText,
  improvementOf,
  methodText,
  unsureText,
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
  champion: "live",
  ...more,
});

const found = (after: object, before: object) => improvementOf(gate(after, before))!;

describe("the first lines after a training", () => {
  it("do not call a model worse that is closer to the labels", () => {
    const closer = found({ ...figures(56), brier: 0.1 }, figures(58));
    expect(headline(closer)).toBe(
      "Closer to the labels, right on fewer on your 91 images: 62% right, before 64%",
    );
    expect(headline(found(figures(56), figures(58)))).toBe(
      "Worse on your 91 images: 62% right, before 64%",
    );
  });

  it("say how many answers on the same images are right, before and after", () => {
    const better = found(figures(71), figures(56));
    expect(headline(better)).toBe("Better on your 91 images: 78% right, before 62%");
    expect(counts(better)).toContain("Right on 71 of 91 images, before on 56.");
    expect(worldText(better.world!)).toBe(
      "On thumbnails of the kind it was shipped for: 84% right, before 84%.",
    );
  });

  it("do not call a change better that is none, or worse", () => {
    expect(headline(found(figures(56), figures(56)))).toBe(
      "As good on your 91 images: 62% right, as before",
    );
    expect(headline(found(figures(50), figures(56)))).toBe(
      "Worse on your 91 images: 55% right, before 62%",
    );
  });

  it("have more digits if the shares look the same", () => {
    expect(change(found(figures(501, 1000), figures(500, 1000)).of)).toBe(
      "50.1% right, before 50.0%",
    );
  });

  it("have the share of unsure answers before and after, and the service's warnings", () => {
    const unsure = found(figures(71, 91, 0.55), figures(56, 91, 0.18));
    expect(unsureText(unsure)).toBe("Unsure about 55% of these images, before about 18%.");
    const often = "It says 'unsure' much more often: about 55% of";
    const warned = (images: string) =>
      improvementOf(
        gate(figures(71, 91, 0.55), figures(56, 91, 0.18), { warnings: [`${often} ${images}.`] }),
      )!;
    expect(warned("your images").warnings).toEqual([`${often} your images.`]);
    expect(unsureText(warned("your images"))).toBeNull(); // The warning has it.
    expect(unsureText(warned("thumbnails of the kind it was shipped for"))).not.toBeNull();
    expect(found(figures(71), figures(56)).warnings).toEqual([]);
    expect(unsureText(found({ ...figures(71), unsure: null }, figures(56)))).toBeNull();
  });

  it("take the test images if none are the owner's", () => {
    const set = { images: 185, candidate: figures(150), champion: figures(148) };
    const shipped = improvementOf({ passed: true, checks: [], sets: { test: set, exam: set } })!;
    expect(imagesText({ ...shipped, of: found(figures(1), figures(1)).of })).toBe(
      "the 91 test images",
    );
    expect(shipped.on).toBe("test");
    const { images: _, ...bare } = figures(150);
    const counted = { images: 185, candidate: bare, champion: bare };
    expect(improvementOf({ sets: { test: counted } })?.of.after.images).toBe(185);
  });

  it("are missing for older sets, which have no shares", () => {
    const bare = { auc: 0.9, brier: 0.1 };
    const sets = { test: { images: 185, candidate: bare, champion: bare } };
    expect(improvementOf({ passed: true, checks: [], sets })).toBeNull();
  });

  it("compare two versions whichever of them was measured against the other", () => {
    const old = { version: "live", gate: null };
    const young = { version: "new", gate: gate(figures(71), figures(56)) };
    expect(between(old, young)?.of.after.right).toBe(71);
    expect(between(young, old)?.of.after.right).toBe(56);
    expect(between(young, old)?.champion).toBe("new");
    expect(between({ version: "other", gate: null }, young)).toBeNull();
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
