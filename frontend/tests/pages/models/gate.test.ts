import { expect, it } from "vitest";
import { checkText, gateOf } from "../../../src/pages/models/gate";

const check = (name: string, value: number | null, limit: number | null) => ({
  name,
  passed: true,
  value,
  limit,
  detail: "",
});

it("a bound has its sign and its place between the limits", () => {
  expect(checkText(check("auc against champion, test", -0.025, -0.05))).toEqual({
    title: "AUC against the live model, test images",
    found: "\u22120.025",
    required: "more than \u22120.050",
    place: -0.25,
  });
  expect(checkText(check("brier against best, exam", 0.4, 0.025))).toMatchObject({
    title: "Brier score against the best version, exam images",
    required: "less than +0.025",
    place: 1,
  });
  expect(checkText(check("auc against champion, test", null, -0.05)).place).toBeNull();
});

it("every other check has a title, and an unknown one its name", () => {
  expect(checkText(check("evidence, test", 31, 30))).toMatchObject({
    title: "Enough test images",
    found: "31",
    required: "at least 30",
  });
  expect(checkText(check("file size", 6_800_000, 16_000_000)).required).toBe("at most 16.0 MB");
  expect(checkText(check("golden images", 0, 0)).found).toBe("0 regressions");
  expect(checkText(check("loads", null, null)).title).toBe("Loads for serving");
  expect(checkText(check("something new", 1, 2)).title).toBe("something new");
});

it("anything else is no gate result", () => {
  expect(gateOf(null)).toBeNull();
  expect(gateOf({ passed: "yes" })).toBeNull();
  expect(gateOf({ passed: false, checks: [] })).toMatchObject({ passed: false });
});
