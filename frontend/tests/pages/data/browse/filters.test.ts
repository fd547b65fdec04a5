import { expect, it } from "vitest";
import { addressOf, filtered, filtersOf, queryOf } from "../../../../src/pages/data/browse/filters";

const NONE = { label: null, side: null, show: null, q: "" };

it("an address keeps every filter", () => {
  const filters = {
    label: "clickbait_fake",
    side: "exam",
    show: "disagrees",
    q: "day 1 & 2",
  } as const;
  const address = addressOf(filters);
  expect(filtersOf(address.split("?")[1]!)).toEqual(filters);
  expect(new URLSearchParams(address.split("?")[1]).get("show")).toBe("browse");
});

it("the API gets only filters that are set", () => {
  expect(queryOf({ ...NONE, show: "both_labels" })).toEqual({ show: "both_labels" });
  expect(queryOf(NONE)).toEqual({});
  expect([filtered(NONE), filtered({ ...NONE, q: "a" })]).toEqual([false, true]);
});

it("values that do not exist are ignored", () => {
  expect(filtersOf("label=dog&side=left&only=all&q=")).toEqual(NONE);
});
