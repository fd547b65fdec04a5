import { beforeEach, expect, test, vi } from "vitest";

vi.mock("../../../src/image/prepare", async () => {
  const { Problem } = await import("../../../src/api/problem");
  const refused = new Problem("This browser cannot open HEIC images", "Save it as JPEG.", 415);
  return {
    prepare: async (file: File) => ({
      file,
      refused: file.name.endsWith(".heic") ? refused : null,
      converted: file.name.endsWith(".avif") ? "AVIF" : null,
    }),
    refusalText: () => "This browser cannot open HEIC images. Save it as JPEG.",
  };
});

const MIB = 1024 * 1024;

let quick: typeof import("../../../src/pages/batch/quick-batch");
let sent: string[][];
/** The response to a form with these files. */
let answer: (names: string[]) => Response;

const predictions = (names: string[]) =>
  Response.json({
    results: names.map((file) =>
      file.startsWith("broken")
        ? { file, type: "x", title: "Unreadable", status: 422, detail: "It is cut off." }
        : {
            file,
            prediction: "clickbait_fake",
            is_clickbait: true,
            probability: 0.9,
            confidence: 0.9,
            uncertain: false,
            model_version: "v1",
          },
    ),
    model_version: "v1",
  });

async function open(access: "public" | "private") {
  vi.resetModules();
  const { config } = await import("../../../src/api/session");
  config.value = { api: "http://api.test", access, predictions: "open", stack: "test" };
  quick = await import("../../../src/pages/batch/quick-batch");
}

beforeEach(async () => {
  sent = [];
  answer = predictions;
  vi.stubGlobal("fetch", async (request: Request) => {
    if (!request.url.endsWith("/predict-batch")) return Response.json({ model_version: "v1" });
    const names = (await request.formData()).getAll("files").map((file) => (file as File).name);
    sent.push(names);
    return answer(names);
  });
  await open("private");
});

const file = (name: string, size = 10) => new File([new Uint8Array(size)], name);

test("a file that this browser cannot open is not sent, and its row says what to do", async () => {
  // Its size is no reason to send it to the bucket.
  const chosen = [file("a.avif"), file("b.heic", 5 * MIB), file("c.jpg")];
  await open("public");
  expect(await quick.predictNow(chosen, false)).toBe(true);
  expect(sent).toEqual([["a.avif", "c.jpg"]]);
  const { rows, converted, busy } = quick.quickBatch.value ?? {};
  expect(rows?.map((row) => row?.error)).toEqual([
    null,
    "This browser cannot open HEIC images. Save it as JPEG.",
    null,
  ]);
  expect(converted).toEqual(["AVIF"]);
  expect(busy).toBe(false);
});

test("files that all cannot be opened need no request", async () => {
  expect(await quick.predictNow([file("a.heic"), file("b.heic")], false)).toBe(true);
  expect(sent).toEqual([]);
  expect(quick.quickBatch.value).toMatchObject({ busy: false, rows: [{ file: "a.heic" }, {}] });
});

test("ten files are one request, and each has the same row as in a batch", async () => {
  const files = [file("broken.jpg"), ...Array.from({ length: 9 }, (_, at) => file(`${at}.jpg`))];
  expect(await quick.predictNow(files, false)).toBe(true);
  expect(sent).toHaveLength(1);
  const { rows, busy } = quick.quickBatch.value ?? {};
  expect(busy).toBe(false);
  expect(rows?.[0]).toMatchObject({
    file: "broken.jpg",
    prediction: null,
    error: "It is cut off.",
  });
  expect(rows?.[9]).toEqual({
    file: "8.jpg",
    prediction: "clickbait_fake",
    is_clickbait: true,
    probability: 0.9,
    confidence: 0.9,
    uncertain: false,
    model_version: "v1",
    error: null,
  });
});

test("files that are too large together go in several requests, in order", () => {
  expect(quick.requests([0, 1, 2, 3], [3 * MIB, MIB, 1, 5 * MIB])).toEqual([[0, 1], [2], [3]]);
  expect(quick.requests([], [])).toEqual([]);
});

test("a file that is too large for the API goes to the bucket if that is allowed", async () => {
  const files = [file("small.jpg"), file("large.jpg", 5 * MIB)];
  await open("public");
  expect(await quick.predictNow(files, true)).toBe(false);
  expect(quick.quickBatch.value).toBeNull();
  expect(sent).toEqual([]);
});

test("otherwise the service reports that the file is too large", async () => {
  answer = (names) =>
    names.includes("large.jpg")
      ? Response.json({ title: "Too large", detail: "The limit is 4 MiB." }, { status: 413 })
      : predictions(names);
  const files = [file("small.jpg"), file("large.jpg", 5 * MIB)];
  expect(await quick.predictNow(files, true)).toBe(true);
  expect(quick.quickBatch.value?.rows.map((row) => row?.error)).toEqual([
    null,
    "The limit is 4 MiB.",
  ]);
});

test("a retry sends only the files without a result", async () => {
  answer = (names) =>
    names.includes("b.jpg")
      ? Response.json({ title: "Broken", detail: "A fault." }, { status: 500 })
      : predictions(names);
  await quick.predictNow([file("a.jpg", 4 * MIB), file("b.jpg"), file("c.jpg")], true);
  const failed = quick.quickBatch.value;
  expect(failed?.problem?.detail).toBe("A fault.");
  answer = predictions;
  if (failed) await quick.resume(failed);
  expect(quick.quickBatch.value?.rows.every((row) => row?.prediction)).toBe(true);
  expect(sent.at(-1)).toEqual(["b.jpg", "c.jpg"]);
});
