import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openTab, Service } from "./service";

let service: Service;
let forms: import("../../../src/pages/batch/forms").Forms;

beforeEach(async () => {
  service = new Service();
  const names = Array.from({ length: 950 }, (_, at) => `${at}.jpg`);
  service.batches.set("b", { names, arrived: new Map(), started: 0 });
  await openTab(service);
  const { Forms } = await import("../../../src/pages/batch/forms");
  forms = new Forms("b");
});

afterEach(() => void vi.useRealTimers());

test("a file has its own form, and a page is asked for once", async () => {
  const made = await Promise.all([3, 99, 7].map((place) => forms.of(place)));
  expect(made.map((form) => form.file)).toEqual(["3.jpg", "99.jpg", "7.jpg"]);
  expect((await forms.of(100)).file).toBe("100.jpg");
  expect(service.pagesAsked).toEqual(["first", "100"]);
});

test("a page far behind is reached through the pages before it", async () => {
  expect((await forms.of(950 - 1)).file).toBe("949.jpg");
  expect(service.pagesAsked).toHaveLength(10);
  await forms.of(500);
  expect(service.pagesAsked).toHaveLength(11);
});

test("forms that will be too old in a minute are fetched anew", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  await forms.of(0);
  vi.setSystemTime(Date.now() + 239_000);
  await forms.of(1);
  expect(service.pagesAsked).toHaveLength(1);
  vi.setSystemTime(Date.now() + 2_000);
  await forms.of(2);
  expect(service.pagesAsked).toEqual(["first", "first"]);
});

test("a page that could not be had is asked for again", async () => {
  service.api = () => Response.json({ title: "No", detail: "no" }, { status: 400 });
  await expect(forms.of(0)).rejects.toThrow("No: no");
  service.api = () => null;
  expect((await forms.of(0)).file).toBe("0.jpg");
});
