import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openTab, Service } from "./service";

let service: Service;
let forms: import("../../src/upload/form-pages").FormPages;

beforeEach(async () => {
  service = new Service();
  const names = Array.from({ length: 950 }, (_, at) => `${at}.jpg`);
  service.batches.set("b", { names, arrived: new Map(), started: 0 });
  await openTab(service);
  const { FormPages } = await import("../../src/upload/form-pages");
  forms = new FormPages("b");
});

afterEach(() => void vi.useRealTimers());

test("each file has its own form, and each page is fetched once", async () => {
  const found = await Promise.all([3, 99, 7].map((place) => forms.of(place)));
  expect(found.map((form) => form.file)).toEqual(["3.jpg", "99.jpg", "7.jpg"]);
  expect((await forms.of(100)).file).toBe("100.jpg");
  expect(service.pagesFetched).toEqual(["first", "100"]);
});

test("a later page is reached through the pages before it", async () => {
  expect((await forms.of(950 - 1)).file).toBe("949.jpg");
  expect(service.pagesFetched).toHaveLength(10);
  await forms.of(500);
  expect(service.pagesFetched).toHaveLength(11);
});

test("forms that expire within a minute are fetched again", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  await forms.of(0);
  vi.setSystemTime(Date.now() + 239_000);
  await forms.of(1);
  expect(service.pagesFetched).toHaveLength(1);
  vi.setSystemTime(Date.now() + 2_000);
  await forms.of(2);
  expect(service.pagesFetched).toEqual(["first", "first"]);
});

test("a page that failed is fetched again", async () => {
  service.api = () => Response.json({ title: "No", detail: "no" }, { status: 400 });
  await expect(forms.of(0)).rejects.toThrow("No: no");
  service.api = () => null;
  expect((await forms.of(0)).file).toBe("0.jpg");
});
