import { IDBFactory } from "fake-indexeddb";
import "fake-indexeddb/auto";
import { beforeEach, expect, test, vi } from "vitest";
import type { Kept } from "../../../src/pages/batch/kept";

let kept: typeof import("../../../src/pages/batch/kept");

const DAY = 86_400_000;
const NOW = 1_000 * DAY;

const batch = (id: string, change: Partial<Kept> = {}): Kept => ({
  id,
  at: NOW,
  files: 3,
  state: "uploading",
  original: false,
  largest: 1e7,
  refused: [],
  ...change,
});

beforeEach(async () => {
  vi.stubGlobal("indexedDB", new IDBFactory());
  vi.resetModules();
  kept = await import("../../../src/pages/batch/kept");
});

test("an image is kept until it is done, and only then deleted", async () => {
  await kept.begun(batch("a"), ["x", "y", "z"]);
  expect(await kept.hold("a", 2, new Blob(["image"]))).toBe(true);
  await kept.hold("a", 0, new Blob(["other"]));
  expect(await (await kept.held("a", 2))?.text()).toBe("image");
  await kept.settle("a", 2);
  await kept.settle("a", 1, "It is empty.");
  expect(await kept.held("a", 2)).toBeUndefined();
  expect(await kept.waitingOf("a")).toEqual([0]);
  expect(await kept.overOf("a")).toEqual(
    new Map([
      [1, "It is empty."],
      [2, ""],
    ]),
  );
});

test("batches whose ids begin alike stay apart", async () => {
  await kept.hold("a", 1, new Blob(["1"]));
  await kept.hold("aa", 2, new Blob(["2"]));
  expect(await kept.waitingOf("a")).toEqual([1]);
  await kept.dropFiles("a");
  expect(await kept.waitingOf("aa")).toEqual([2]);
});

test("the newest batch is first, and changes are kept", async () => {
  await kept.begun(batch("old", { at: 1 }), []);
  await kept.begun(batch("new", { at: 2 }), []);
  await kept.update("old", { state: "finished", done: 2, failed: 1 });
  const all = await kept.all();
  expect(all.map((one) => one.id)).toEqual(["new", "old"]);
  expect(all[1]).toMatchObject({ state: "finished", done: 2, failed: 1, files: 3 });
});

test("nothing is kept of a batch that began elsewhere", async () => {
  await kept.update("other", { state: "finished" });
  expect(await kept.all()).toEqual([]);
});

test("batches that are finished or a week old take no room; those being uploaded stay", async () => {
  await kept.begun(batch("now"), []);
  await kept.begun(batch("finished", { state: "finished" }), []);
  await kept.begun(batch("old", { at: NOW - 8 * DAY }), []);
  for (const id of ["now", "finished", "old"]) {
    await kept.hold(id, 0, new Blob(["image"]));
    await kept.holdThumbnail(id, "x", new Blob(["small"]));
  }
  await kept.sweep(NOW);
  expect(await kept.waitingOf("now")).toEqual([0]);
  expect(await kept.waitingOf("finished")).toEqual([]);
  expect(await kept.waitingOf("old")).toEqual([]);
  expect(await kept.thumbnail("finished", "x")).toBeDefined();
  expect(await kept.thumbnail("old", "x")).toBeUndefined();
  expect((await kept.find("old"))?.state).toBe("given");
});

test("a removed batch leaves nothing", async () => {
  await kept.begun(batch("a"), ["x"]);
  await kept.hold("a", 0, new Blob(["image"]));
  await kept.holdThumbnail("a", "x", new Blob(["small"]));
  await kept.forget("a");
  expect(await kept.find("a")).toBeUndefined();
  expect(await kept.namesIn("a")).toEqual([]);
  expect(await kept.waitingOf("a")).toEqual([]);
  expect(await kept.thumbnail("a", "x")).toBeUndefined();
});

test("a browser that keeps nothing says so, and nothing fails", async () => {
  vi.stubGlobal("indexedDB", {
    open: () => {
      throw new DOMException("no", "SecurityError");
    },
  });
  vi.resetModules();
  kept = await import("../../../src/pages/batch/kept");
  expect(await kept.begun(batch("a"), [])).toBe(false);
  expect(await kept.hold("a", 0, new Blob(["x"]))).toBe(false);
  expect(await kept.all()).toEqual([]);
  await kept.settle("a", 0);
  await kept.sweep();
});
