import { IDBFactory } from "fake-indexeddb";
import "fake-indexeddb/auto";
import { openDB } from "idb";
import { beforeEach, expect, test, vi } from "vitest";
import type { Classified } from "../../src/store/classified";
import { eventually } from "../eventually";

let store: typeof import("../../src/store/classified");
let session: typeof import("../../src/store/session");
let tab: Map<string, string>;
const sent: string[] = [];

const answer = { prediction: "clickbait_fake", probability: 0.9, model_version: "v1" };
const image = (name: string) => new File(["bytes"], name, { type: "image/jpeg" });

/** Load the page anew; the tab and the browser's database stay. */
async function reload(): Promise<void> {
  vi.resetModules();
  store = await import("../../src/store/classified");
  session = await import("../../src/store/session");
}

const names = () => store.classified.value.map(({ source }) => source.name);

/** Wait until the database has this many images. */
async function kept(images: number): Promise<void> {
  await eventually(async () => {
    const db = await openDB("session", 1, {
      upgrade: (made) => void made.createObjectStore("images"),
    });
    const found = await db.count("images");
    db.close();
    expect(found).toBe(images);
  });
}

beforeEach(async () => {
  tab = new Map();
  sent.length = 0;
  vi.stubGlobal("indexedDB", new IDBFactory());
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => tab.get(key) ?? null,
    setItem: (key: string, value: string) => tab.set(key, value),
  });
  vi.doMock("../../src/image/prepare", () => ({
    prepare: async (file: File) => {
      sent.push(file.name);
      throw new Error("the service is away");
    },
    unreadable: () => new Error("unreadable"),
  }));
  await reload();
});

function answered(...files: string[]): void {
  store.classified.value = files.map((name, id) => ({
    id: id + 1,
    source: image(name),
    picture: "blob:x",
    original: false,
    answer: answer as Classified["answer"] & object,
    took: 12,
  }));
}

test("a reload keeps the images of a tab with their results, in their order", async () => {
  answered("b.jpg", "a.jpg");
  session.follow();
  await kept(2);
  await reload();
  expect(names()).toEqual([]);
  await session.restore();
  expect(names()).toEqual(["b.jpg", "a.jpg"]);
  expect(store.classified.value.map((one) => one.answer?.model_version)).toEqual(["v1", "v1"]);
  expect(sent).toEqual([]);
});

test("an image without a result is sent again", async () => {
  answered("a.jpg");
  const [one] = store.classified.value;
  store.classified.value = [{ ...one, answer: undefined } as unknown as Classified];
  session.follow();
  await kept(1);
  await reload();
  await session.restore();
  expect(names()).toEqual(["a.jpg"]);
  await eventually(() => expect(sent).toEqual(["a.jpg"]));
});

test("what leaves the session leaves the browser", async () => {
  answered("a.jpg", "b.jpg");
  session.follow();
  await kept(2);
  store.classified.value = [];
  await kept(0);
  expect(tab.get("classified")).toBe("[]");
});

test("another tab has a session of its own", async () => {
  answered("a.jpg");
  session.follow();
  await kept(1);
  tab.clear();
  await reload();
  await session.restore();
  expect(names()).toEqual([]);
  await kept(1);
});

test("without a database nothing is kept, and nothing fails", async () => {
  vi.stubGlobal("indexedDB", undefined);
  await reload();
  answered("a.jpg");
  session.follow();
  await session.restore();
  expect(names()).toEqual(["a.jpg"]);
});
