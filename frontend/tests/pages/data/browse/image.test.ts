import { describe, expect, it } from "vitest";
import { changeText } from "../../../../src/pages/data/browse/changes";
import {
  changed,
  changes,
  doneText,
  type Image,
  keyOf,
  modelText,
  sideOf,
} from "../../../../src/pages/data/browse/image";

const image: Image = {
  id: "dHJhaW4vY2xpY2tiYWl0L2EuanBn",
  key: "train/clickbait/a.jpg",
  name: "a.jpg",
  label: "clickbait_fake",
  folder: "train",
  side: "validation",
  width: 1280,
  height: 720,
  bytes: 1,
  format: "JPEG",
  at: "2026-01-01T00:00:00Z",
  sha256: "0",
  probability: 0.16,
  disagrees: true,
  duplicates: [],
  trained: true,
  decided: false,
  rejected: null,
  url: null,
};

describe("an edited image", () => {
  it("with the other label agrees with a model that disagreed, and waits for training", () => {
    expect(changed(image, { label: "clickbait_real" })).toMatchObject({
      label: "clickbait_real",
      decided: true,
      disagrees: false,
      trained: false,
    });
    expect(changed({ ...image, disagrees: false }, { label: "clickbait_real" }).disagrees).toBe(
      true,
    );
  });

  it("with the same label is confirmed, once", () => {
    const same = { label: "clickbait_fake" } as const;
    expect(changes(image, same)).toBe(true);
    expect(changed(image, same)).toMatchObject({ decided: true, disagrees: true });
    expect(changes({ ...image, decided: true }, same)).toBe(false);
  });

  it("in the exam counts for no other split", () => {
    const exam = changed(image, { folder: "exam" });
    expect(sideOf(exam)).toBe("Exam");
    expect(changes(exam, { folder: "exam" })).toBe(false);
  });
});

it("ids stand for keys, also for those in other scripts", () => {
  expect(keyOf("dHJhaW4vY2xpY2tiYWl0L2EuanBn")).toBe("train/clickbait/a.jpg");
  const key = "exam/legitimate/猫 größe ?~.png";
  expect(keyOf(Buffer.from(key).toString("base64url"))).toBe(key);
});

it("an edit and its record are described in words", () => {
  expect(doneText({ label: "clickbait_real" }, 3)).toBe("3 images labelled legitimate");
  expect(doneText({ remove: true }, 1)).toBe("1 image removed");
  const place = { id: "", key: "", name: "", folder: "train", decided: false } as const;
  const record = { id: "", at: "", by: "", key: "", undone: null } as const;
  expect(
    changeText({
      ...record,
      action: "relabelled",
      before: { ...place, label: "clickbait_fake" },
      after: { ...place, label: "clickbait_real" },
    }),
  ).toBe("clickbait → legitimate");
  expect(modelText(image)).toBe("16% clickbait: disagrees with the label");
});
