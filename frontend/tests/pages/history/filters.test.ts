import { expect, test } from "vitest";
import { addressOf, filtersOf, queryOf } from "../../../src/pages/history/filters";

const ALL = "?verdict=unsure&source=worker&day=2026-11-22&version=v1&batch=M%C3%A4rz+%26+so";

test("an address holds every filter, and gives it back", () => {
  const filters = filtersOf(ALL);
  expect(filters).toEqual({
    verdict: "unsure",
    source: "worker",
    day: "2026-11-22",
    version: "v1",
    batch: "März & so",
  });
  expect(addressOf(filters)).toBe(`/history${ALL}`);
});

test("without filters nothing is asked for", () => {
  expect(queryOf(filtersOf(""))).toEqual({});
  expect(addressOf(filtersOf(""))).toBe("/history");
});

test("values that do not exist are ignored, so that the service refuses none", () => {
  const filters = filtersOf("?verdict=maybe&source=toString&day=yesterday");
  expect(queryOf(filters)).toEqual({});
});
