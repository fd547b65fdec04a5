import { describe, expect, it } from "vitest";
import { Problem } from "../../../src/api/problem";
import { CHUNK, LabelledUpload, NAMED, type Ways } from "../../../src/pages/models/labelled-upload";

const MAX_BYTES = 1_000;

const image = (name: string, size = 10, type = "image/jpeg") =>
  new File([new Uint8Array(size)], name, { type });

const images = (count: number) => Array.from({ length: count }, (_, n) => image(`${n}.jpg`));

/** A service and a bucket that take everything, and note what they were asked. */
function service(change: Partial<Ways> = {}) {
  const asked: number[] = [];
  const sent: string[] = [];
  const ways: Ways = {
    forms: async (type, count) => {
      asked.push(count);
      return {
        items: Array.from({ length: count }, (_, n) => ({
          key: `train/${type}/${asked.length}-${n}`,
          url: "http://bucket",
          fields: {},
        })),
        count,
        next: null,
        expires_in: 300,
        max_bytes: MAX_BYTES,
      };
    },
    send: async (_, file) => {
      sent.push(file.name);
    },
    patience: 1,
    ...change,
  };
  return { ways, asked, sent };
}

describe("labelled images on their way", () => {
  it("all arrive once, by forms that are asked for a hundred at a time", async () => {
    const { ways, asked, sent } = service();
    const upload = new LabelledUpload(images(250), ways);
    await upload.run();
    expect(sent.toSorted()).toEqual(
      images(250)
        .map(({ name }) => name)
        .toSorted(),
    );
    expect(asked.every((count) => count <= CHUNK)).toBe(true);
    expect(upload.progress.value).toMatchObject({
      phase: "done",
      images: 250,
      sent: 250,
      failed: 0,
    });
  });

  it("leave out what the training cannot read, before anything is sent, and say why", async () => {
    const { ways, sent } = service();
    const upload = new LabelledUpload(
      [
        image("a.jpg"),
        image("notes.txt", 5, "text/plain"),
        image("empty.jpg", 0),
        image("large.jpg", MAX_BYTES + 1),
        image("full.jpg", MAX_BYTES),
      ],
      ways,
    );
    expect(upload.progress.value).toMatchObject({ phase: "ready", images: 3, leftOut: 2 });
    await upload.run();
    expect(sent.toSorted()).toEqual(["a.jpg", "full.jpg"]);
    const { leftOut, outside, images: counted } = upload.progress.value;
    expect([leftOut, counted]).toEqual([3, 2]);
    expect(outside.map(({ name }) => name)).toEqual(["notes.txt", "empty.jpg", "large.jpg"]);
    expect(outside[2]?.why).toContain("the limit is 1.0 kB");
  });

  it("are tried again where the failure passes", async () => {
    let failures = 0;
    const { ways } = service({
      send: async () => {
        failures += 1;
        if (failures <= 2) throw new Problem("Busy", "Slow down.", 503);
      },
    });
    const upload = new LabelledUpload([image("a.jpg")], ways);
    await upload.run();
    expect(upload.progress.value).toMatchObject({ phase: "done", sent: 1, failed: 0 });
  });

  it("fail one by one where the bucket refuses one, and can be tried again", async () => {
    let refuses = true;
    const { ways } = service({
      send: async (_, { name }) => {
        if (refuses && name === "1.jpg") throw new Problem("Refused", "Not this one.", 400);
      },
    });
    const upload = new LabelledUpload(images(3), ways);
    await upload.run();
    expect(upload.progress.value).toMatchObject({ phase: "done", sent: 2, failed: 1 });
    expect(upload.progress.value.failures).toEqual([{ name: "1.jpg", why: "Not this one." }]);
    refuses = false;
    await upload.retry();
    expect(upload.progress.value).toMatchObject({ phase: "done", sent: 3, failed: 0 });
  });

  it("pause with the reason where no forms are given, and lose nothing", async () => {
    let denied = true;
    const made = service();
    const { ways, sent } = service({
      forms: (type, count) => {
        if (denied) throw new Problem("Not allowed", "The token is not the admin's.", 403);
        return made.ways.forms(type, count);
      },
    });
    const upload = new LabelledUpload(images(4), ways);
    await upload.run();
    expect(upload.progress.value).toMatchObject({ phase: "paused", sent: 0, failed: 0 });
    expect(upload.progress.value.problem?.status).toBe(403);
    denied = false;
    await upload.run();
    expect(sent).toHaveLength(4);
    expect(upload.progress.value).toMatchObject({ phase: "done", sent: 4, problem: null });
  });

  it("stop when they are told to, go on where they were, and none goes twice", async () => {
    const sent: string[] = [];
    const { ways } = service({
      send: async (_, { name }, signal) => {
        if (sent.length === 5) upload.pause();
        signal.throwIfAborted();
        sent.push(name);
      },
    });
    const upload = new LabelledUpload(images(30), ways);
    await upload.run();
    expect(upload.progress.value.phase).toBe("paused");
    expect(sent.length).toBeLessThan(30);
    ways.send = async (_, { name }) => {
      sent.push(name);
    };
    await upload.run();
    expect(upload.progress.value).toMatchObject({ phase: "done", sent: 30 });
    expect(sent).toHaveLength(30);
    expect(new Set(sent).size).toBe(30);
  });

  it("are not all named where many fail", async () => {
    const { ways } = service({
      send: async () => {
        throw new Problem("Refused", "No.", 400);
      },
    });
    const upload = new LabelledUpload(images(NAMED + 7), ways);
    await upload.run();
    expect(upload.progress.value.failed).toBe(NAMED + 7);
    expect(upload.progress.value.failures).toHaveLength(NAMED);
  });
});
