import { IDBFactory } from "fake-indexeddb";
import "fake-indexeddb/auto";
import { beforeEach, expect, test, vi } from "vitest";
import type { Uploads } from "../../../src/pages/batch/uploads";
import { eventually } from "../../eventually";
import { openTab, refusal, Service } from "../../upload/service";

vi.mock("../../../src/image/prepare", () => ({
  prepare: async (file: File) => ({
    file,
    refused: file.name.endsWith(".heic") ? {} : null,
    converted: file.name.endsWith(".avif") ? "AVIF" : null,
  }),
  refusalText: () => "Save the image as JPEG.",
}));

let service: Service;

beforeEach(() => {
  service = new Service();
  vi.stubGlobal("indexedDB", new IDBFactory());
  vi.stubGlobal("addEventListener", vi.fn());
  vi.stubGlobal("removeEventListener", vi.fn());
  vi.stubGlobal(
    "DOMParser",
    class {
      parseFromString(text: string) {
        const message = /<Message>(.*)<\/Message>/.exec(text)?.[1];
        return { querySelector: () => message && { textContent: message } };
      }
    },
  );
});

const files = (count: number, from = 0) =>
  Array.from({ length: count }, (_, at) => new File([`image ${from + at}`], `${from + at}.jpg`));

const phase = (uploads: Uploads | undefined, wanted: string) =>
  eventually(() => expect(uploads?.progress.value.phase).toBe(wanted));

/** The bytes of each file of the batch in the bucket; checks that each came once. */
function arrived(id = "batch-1"): string[] {
  const all = [...(service.batches.get(id)?.arrived ?? [])].sort(([a], [b]) => a - b);
  expect(all.filter(([, { times }]) => times !== 1)).toEqual([]);
  return all.map(([, { bytes }]) => bytes);
}

const images = (count: number) => files(count).map((_, at) => `image ${at}`);

/** A bucket that takes `some` files and never answers the others. */
const takes = (some: number) => {
  let taken = 0;
  service.bucket = () => (taken++ < some ? null : new Promise<never>(() => undefined));
};

test("every file arrives once, in its own place, and then the batch is started", async () => {
  const tab = await openTab(service);
  const id = await tab.begin(files(250), false);
  const uploads = await tab.uploadsOf(id);
  await phase(uploads, "given");
  expect(arrived()).toEqual(images(250));
  expect(service.batches.get(id)?.started).toBe(1);
  expect(uploads?.progress.value).toMatchObject({ sent: 250, unsafe: 0, refused: [] });
  expect(service.pagesFetched).toEqual(["first", "100", "200"]);
});

test("a file that this browser cannot open is named, and converted ones are counted", async () => {
  const tab = await openTab(service);
  const odd = [new File(["a"], "a.heic"), new File(["b"], "b.avif"), new File(["c"], "c.avif")];
  const uploads = await tab.uploadsOf(await tab.begin([...files(10), ...odd], false));
  await phase(uploads, "given");
  expect(arrived()).toEqual([...images(10), "b", "c"]);
  expect(uploads?.progress.value).toMatchObject({
    sent: 12,
    refused: [{ name: "a.heic", why: "Save the image as JPEG." }],
    converted: ["AVIF", "AVIF"],
  });
});

test("after a reload in the middle the rest is uploaded, and nothing twice", async () => {
  const before = await openTab(service);
  takes(120);
  const id = await before.begin(files(250), false);
  const first = await before.uploadsOf(id);
  await eventually(() => expect(first?.progress.value).toMatchObject({ sent: 120, unsafe: 0 }));

  service.bucket = () => null;
  const after = await openTab(service);
  const uploads = await after.uploadsOf(id);
  await phase(uploads, "given");
  expect(arrived()).toEqual(images(250));
  expect(service.batches.get(id)?.started).toBe(1);
});

test("files that were not read before the reload are named, and only those are sent", async () => {
  await openTab(service);
  const kept = await import("../../../src/pages/batch/kept");
  // The page is closed when three of five files are kept.
  const names = files(5).map((file) => file.name);
  service.batches.set("batch-1", { names, arrived: new Map(), started: 0 });
  await kept.begun(
    {
      id: "batch-1",
      at: 0,
      files: 5,
      state: "uploading",
      original: false,
      largest: 100,
      refused: [],
    },
    names,
  );
  for (const place of [0, 2, 4]) await kept.hold("batch-1", place, new Blob([`image ${place}`]));

  const after = await openTab(service);
  const uploads = await after.uploadsOf("batch-1");
  await phase(uploads, "missing");
  expect(uploads?.progress.value.missing).toEqual(["1.jpg", "3.jpg"]);
  expect(service.batches.get("batch-1")?.started).toBe(0);
  expect(uploads?.goWith(files(2, 10))).toBe(0);
  expect(uploads?.goWith(files(5))).toBe(2);
  await phase(uploads, "given");
  expect(arrived()).toEqual(images(5));
});

test("a file that S3 refuses is listed with its reason, and the others go on", async () => {
  service.bucket = (place) => (place === 3 ? refusal(400, "Your proposed upload is odd") : null);
  const tab = await openTab(service);
  const large = new File(["x".repeat(101)], "large.jpg");
  const id = await tab.begin([...files(11), large, new File([], "empty.jpg")], false);
  const uploads = await tab.uploadsOf(id);
  await phase(uploads, "given");
  const refused = uploads?.progress.value.refused ?? [];
  expect(refused.map(({ name }) => name).sort()).toEqual(["3.jpg", "empty.jpg", "large.jpg"]);
  expect(refused.find(({ name }) => name === "3.jpg")?.why).toBe("Your proposed upload is odd");
  expect(refused.find(({ name }) => name === "large.jpg")?.why).toContain("101 B");
  expect(uploads?.progress.value.sent).toBe(10);
});

test("an expired form is fetched again", async () => {
  let first = true;
  service.bucket = () => {
    const old = first;
    first = false;
    return old ? refusal(403, "Policy expired.") : null;
  };
  const tab = await openTab(service);
  const uploads = await tab.uploadsOf(await tab.begin(files(12), false));
  await phase(uploads, "given");
  expect(arrived()).toEqual(images(12));
  expect(service.pagesFetched).toEqual(["first", "first"]);
});

test("an unknown token pauses the uploads, keeps everything, and they resume", async () => {
  service.api = (_, path) =>
    path.endsWith("/uploads")
      ? Response.json(
          { title: "Forbidden", detail: "Not this token.", status: 403 },
          { status: 403 },
        )
      : null;
  const tab = await openTab(service);
  const uploads = await tab.uploadsOf(await tab.begin(files(20), false));
  await phase(uploads, "paused");
  expect(uploads?.progress.value.problem?.unauthorized).toBe(true);
  expect(arrived()).toEqual([]);
  service.api = () => null;
  void uploads?.go();
  await phase(uploads, "given");
  expect(arrived()).toEqual(images(20));
});

test("stopped uploads keep what arrived, and the service starts", async () => {
  takes(5);
  const tab = await openTab(service);
  const kept = await import("../../../src/pages/batch/kept");
  const id = await tab.begin(files(20), false);
  const uploads = await tab.uploadsOf(id);
  await eventually(() => expect(uploads?.progress.value).toMatchObject({ sent: 5, unsafe: 0 }));
  await uploads?.stop();
  expect(uploads?.progress.value).toMatchObject({ phase: "given", sent: 5, refused: [] });
  expect(arrived()).toHaveLength(5);
  expect(service.batches.get(id)?.started).toBe(1);
  expect(await kept.waitingOf(id)).toEqual([]);
});

test("a browser that keeps nothing still uploads, and warns while files would be lost", async () => {
  vi.stubGlobal("indexedDB", undefined);
  takes(3);
  const tab = await openTab(service);
  const uploads = await tab.uploadsOf(await tab.begin(files(30), false));
  await eventually(() => expect(uploads?.progress.value.sent).toBe(3));
  expect(uploads?.progress.value).toMatchObject({ keeps: false, unsafe: 27 });
  expect(addEventListener).toHaveBeenLastCalledWith("beforeunload", expect.anything());
});
