import { afterEach, describe, expect, it, vi } from "vitest";
import { MAX_FORMS } from "../../../src/api/limits";
import { Problem } from "../../../src/api/problem";
import {
  type Kind,
  LabelledUpload,
  NAMED,
  type Services,
} from "../../../src/pages/models/labelled-upload";

const MAX_BYTES = 1_000;

const image = (name: string, size = 10, type = "image/jpeg") =>
  new File([new Uint8Array(size)], name, { type });

const nameOf = (image: Blob) => (image as File).name;

const images = (count: number) => Array.from({ length: count }, (_, n) => image(`${n}.jpg`));

/** A service and a bucket that take everything, and record it. */
function service(change: Partial<Services> = {}) {
  const counts: number[] = [];
  const kinds: Kind[] = [];
  const sent: string[] = [];
  const services: Services = {
    forms: async (type, names, kind) => {
      counts.push(names.length);
      kinds.push(kind);
      return {
        items: names.map((name) => ({
          key: `train/${type}/${counts.length}-${name}`,
          url: "http://bucket",
          fields: { name },
        })),
        count: names.length,
        next: null,
        expires_in: 300,
        max_bytes: MAX_BYTES,
      };
    },
    send: async (form, file) => {
      expect(form.fields.name).toBe(nameOf(file)); // A form is for one name.
      sent.push(nameOf(file));
    },
    ...change,
  };
  return { services, counts, kinds, sent };
}

afterEach(() => void vi.useRealTimers());

describe("labelled images", () => {
  it("all arrive once, by forms that are fetched a hundred at a time", async () => {
    const { services, counts, sent } = service();
    const upload = new LabelledUpload(images(250), services);
    await upload.run();
    expect(sent.toSorted()).toEqual(
      images(250)
        .map(({ name }) => name)
        .toSorted(),
    );
    expect(counts.every((count) => count <= MAX_FORMS)).toBe(true);
    expect(upload.progress.value).toMatchObject({
      phase: "done",
      images: 250,
      sent: 250,
      failed: 0,
    });
  });

  it("leave out files that training cannot read before anything is sent, and say why", async () => {
    const { services, sent } = service();
    const upload = new LabelledUpload(
      [
        image("a.jpg"),
        image("notes.txt", 5, "text/plain"),
        image("empty.jpg", 0),
        image("large.jpg", MAX_BYTES + 1),
        image("full.jpg", MAX_BYTES),
      ],
      services,
    );
    expect(upload.progress.value).toMatchObject({ phase: "ready", images: 3, leftOut: 2 });
    await upload.run();
    expect(sent.toSorted()).toEqual(["a.jpg", "full.jpg"]);
    const { leftOut, outside, images: counted } = upload.progress.value;
    expect([leftOut, counted]).toEqual([3, 2]);
    expect(outside.map(({ name }) => name)).toEqual(["notes.txt", "empty.jpg", "large.jpg"]);
    expect(outside[2]?.why).toContain("the limit is 1.0 kB");
  });

  it("are sent again if the failure passes", async () => {
    let failures = 0;
    const { services } = service({
      send: async () => {
        failures += 1;
        if (failures <= 2) throw new Problem("Busy", "Slow down.", 503);
      },
    });
    const upload = new LabelledUpload([image("a.jpg")], services);
    vi.useFakeTimers();
    const running = upload.run();
    await vi.runAllTimersAsync();
    await running;
    expect(upload.progress.value).toMatchObject({ phase: "done", sent: 1, failed: 0 });
  });

  it("fail one by one if the bucket refuses one, and can be sent again", async () => {
    let refuses = true;
    const { services } = service({
      send: async (_, file) => {
        if (refuses && nameOf(file) === "1.jpg") throw new Problem("Refused", "Not this one.", 400);
      },
    });
    const upload = new LabelledUpload(images(3), services);
    await upload.run();
    expect(upload.progress.value).toMatchObject({ phase: "done", sent: 2, failed: 1 });
    expect(upload.progress.value.failures).toEqual([{ name: "1.jpg", why: "Not this one." }]);
    refuses = false;
    await upload.retry();
    expect(upload.progress.value).toMatchObject({ phase: "done", sent: 3, failed: 0 });
  });

  it("pause with the reason if the service gives no forms, and lose nothing", async () => {
    let denied = true;
    const working = service();
    const { services, sent } = service({
      forms: (type, names, kind) => {
        if (denied) throw new Problem("Not allowed", "The token is not the admin's.", 403);
        return working.services.forms(type, names, kind);
      },
    });
    const upload = new LabelledUpload(images(4), services);
    await upload.run();
    expect(upload.progress.value).toMatchObject({ phase: "paused", sent: 0, failed: 0 });
    expect(upload.progress.value.problem?.status).toBe(403);
    denied = false;
    await upload.run();
    expect(sent).toHaveLength(4);
    expect(upload.progress.value).toMatchObject({ phase: "done", sent: 4, problem: null });
  });

  it("pause, resume where they were, and none is sent twice", async () => {
    const sent: string[] = [];
    const { services } = service({
      send: async (_, file, signal) => {
        if (sent.length === 5) upload.pause();
        signal?.throwIfAborted();
        sent.push(nameOf(file));
      },
    });
    const upload = new LabelledUpload(images(30), services);
    await upload.run();
    expect(upload.progress.value.phase).toBe("paused");
    expect(sent.length).toBeLessThan(30);
    services.send = async (_, file) => void sent.push(nameOf(file));
    await upload.run();
    expect(upload.progress.value).toMatchObject({ phase: "done", sent: 30 });
    expect(sent).toHaveLength(30);
    expect(new Set(sent).size).toBe(30);
  });

  it("are not all named if many fail", async () => {
    const { services } = service({
      send: async () => {
        throw new Problem("Refused", "No.", 400);
      },
    });
    const upload = new LabelledUpload(images(NAMED + 7), services);
    await upload.run();
    expect(upload.progress.value.failed).toBe(NAMED + 7);
    expect(upload.progress.value.failures).toHaveLength(NAMED);
  });

  it("of class folders get forms of their own label, and every other file is accounted for", async () => {
    const { services, kinds, sent } = service();
    const inFolder = (path: string, type = "image/jpeg") => {
      const file = image(path.split("/").at(-1)!, 10, type);
      Object.defineProperty(file, "webkitRelativePath", { value: path });
      return file;
    };
    const upload = new LabelledUpload(
      [
        inFolder("mine/clickbait/a.jpg"),
        inFolder("mine/clickbait/b.png", "image/png"),
        inFolder("mine/legitimate/c.jpg"),
        inFolder("mine/exam/legitimate/d.jpg"),
        inFolder("mine/unsure/e.jpg"),
        inFolder("mine/clickbait/notes.txt", "text/plain"),
        inFolder("mine/.DS_Store", ""),
      ],
      services,
    );
    expect(upload.folders).toEqual([{ name: "mine/unsure", files: 1 }]);
    await upload.run();
    expect(sent.toSorted()).toEqual(["a.jpg", "b.png", "c.jpg", "d.jpg"]);
    expect(kinds).toHaveLength(4);
    expect(kinds).toContainEqual({ label: "clickbait_real", exam: true });
    expect(upload.progress.value.groups).toEqual([
      { label: "clickbait_fake", exam: false, images: 2, sent: 2 },
      { label: "clickbait_real", exam: false, images: 1, sent: 1 },
      { label: "clickbait_real", exam: true, images: 1, sent: 1 },
    ]);
    const { images: counted, leftOut } = upload.progress.value;
    expect(counted + leftOut).toBe(7);
  });
});
