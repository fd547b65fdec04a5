import { expect, it } from "vitest";
import { gateOf, inWords } from "../../../src/pages/models/gate";

const check = (name: string, value: number | null, limit: number | null) => ({
  name,
  passed: true,
  value,
  limit,
  detail: "",
});

it("a bound is told with its sign, and with its place between the limits", () => {
  expect(inWords(check("auc against champion, test", -0.025, -0.05))).toEqual({
    title: "AUC against the champion, test images",
    found: "\u22120.025",
    asked: "more than \u22120.050",
    place: -0.25,
  });
  expect(inWords(check("brier against best, exam", 0.4, 0.025))).toMatchObject({
    title: "Brier score against the best version, exam images",
    asked: "less than +0.025",
    place: 1,
  });
  expect(inWords(check("auc against champion, test", null, -0.05)).place).toBeNull();
});

it("every other check has its words, and an unknown one its name", () => {
  expect(inWords(check("evidence, test", 31, 30))).toMatchObject({
    title: "Enough test images to tell",
    found: "31",
    asked: "30 at least",
  });
  expect(inWords(check("file size", 6_800_000, 16_000_000)).asked).toBe("16.0 MB at most");
  expect(inWords(check("golden images", 0, 0)).found).toBe("0 lost");
  expect(inWords(check("loads", null, null)).title).toBe("It can be served");
  expect(inWords(check("something new", 1, 2)).title).toBe("something new");
});

it("what is no verdict is none", () => {
  expect(gateOf(null)).toBeNull();
  expect(gateOf({ passed: "yes" })).toBeNull();
  expect(gateOf({ passed: false, checks: [] })).toMatchObject({ passed: false });
});
