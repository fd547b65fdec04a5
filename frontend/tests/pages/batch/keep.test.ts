import { IDBFactory } from "fake-indexeddb";
import "fake-indexeddb/auto";
import { beforeEach, expect, test, vi } from "vitest";
import type { Kept } from "../../../src/pages/batch/keep";

let keep: typeof import("../../../src/pages/batch/keep");

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
  keep = await import("../../../src/pages/batch/keep");
});

test("an image waits until it is dealt with, and only then its bytes go", async () => {
  await keep.begun(batch("a"), ["x", "y", "z"]);
  expect(await keep.hold("a", 2, new Blob(["image"]))).toBe(true);
  await keep.hold("a", 0, new Blob(["other"]));
  expect(await (await keep.held("a", 2))?.text()).toBe("image");
  await keep.settle("a", 2);
  await keep.settle("a", 1, "It is empty.");
  expect(await keep.held("a", 2)).toBeUndefined();
  expect(await keep.waitingOf("a")).toEqual([0]);
  expect(await keep.overOf("a")).toEqual(
    new Map([
      [1, "It is empty."],
      [2, ""],
    ]),
  );
});

test("batches whose ids begin alike do not mix", async () => {
  await keep.hold("a", 1, new Blob(["1"]));
  await keep.hold("aa", 2, new Blob(["2"]));
  expect(await keep.waitingOf("a")).toEqual([1]);
  await keep.dropFiles("a");
  expect(await keep.waitingOf("aa")).toEqual([2]);
});

test("the newest batch is first, and what is new of one is taken in", async () => {
  await keep.begun(batch("old", { at: 1 }), []);
  await keep.begun(batch("new", { at: 2 }), []);
  await keep.update("old", { state: "finished", done: 2, failed: 1 });
  const all = await keep.all();
  expect(all.map((one) => one.id)).toEqual(["new", "old"]);
  expect(all[1]).toMatchObject({ state: "finished", done: 2, failed: 1, files: 3 });
});

test("of a batch that did not begin here nothing is kept", async () => {
  await keep.update("other", { state: "finished" });
  expect(await keep.all()).toEqual([]);
});

test("what is finished or a week old takes no room; what is being uploaded is left alone", async () => {
  await keep.begun(batch("now"), []);
  await keep.begun(batch("finished", { state: "finished" }), []);
  await keep.begun(batch("old", { at: NOW - 8 * DAY }), []);
  for (const id of ["now", "finished", "old"]) {
    await keep.hold(id, 0, new Blob(["image"]));
    await keep.holdThumbnail(id, "x", new Blob(["small"]));
  }
  await keep.sweep(NOW);
  expect(await keep.waitingOf("now")).toEqual([0]);
  expect(await keep.waitingOf("finished")).toEqual([]);
  expect(await keep.waitingOf("old")).toEqual([]);
  expect(await keep.thumbnail("finished", "x")).toBeDefined();
  expect(await keep.thumbnail("old", "x")).toBeUndefined();
  expect((await keep.find("old"))?.state).toBe("given");
});

test("a batch that is forgotten leaves nothing", async () => {
  await keep.begun(batch("a"), ["x"]);
  await keep.hold("a", 0, new Blob(["image"]));
  await keep.holdThumbnail("a", "x", new Blob(["small"]));
  await keep.forget("a");
  expect(await keep.find("a")).toBeUndefined();
  expect(await keep.namesIn("a")).toEqual([]);
  expect(await keep.waitingOf("a")).toEqual([]);
  expect(await keep.thumbnail("a", "x")).toBeUndefined();
});

test("where the browser keeps nothing, that is said and nothing fails", async () => {
  vi.stubGlobal("indexedDB", {
    open: () => {
      throw new DOMException("no", "SecurityError");
    },
  });
  vi.resetModules();
  keep = await import("../../../src/pages/batch/keep");
  expect(await keep.begun(batch("a"), [])).toBe(false);
  expect(await keep.hold("a", 0, new Blob(["x"]))).toBe(false);
  expect(await keep.all()).toEqual([]);
  await keep.settle("a", 0);
  await keep.sweep();
});
