import { afterEach, describe, expect, it, vi } from "vitest";
import { Problem } from "../../src/api/problem";
import { deliver, type Forms, Refusal, type Steps, UploadQueue } from "../../src/upload/queue";
import { retry } from "../../src/upload/retry";
import { eventually } from "../eventually";

afterEach(() => void vi.useRealTimers());

const places = (count: number) => [...Array(count).keys()];
const queueOf = (steps: Steps) => new UploadQueue(steps, () => undefined);

describe("the queue", () => {
  it("sends each image once, six at a time", async () => {
    let now = 0;
    let most = 0;
    const sent: number[] = [];
    const queue = queueOf({
      send: async (place) => {
        most = Math.max(most, ++now);
        await Promise.resolve();
        now -= 1;
        sent.push(place);
        return true;
      },
    });
    await queue.run(places(50), new AbortController());
    expect(sent.toSorted((a, b) => a - b)).toEqual(places(50));
    expect(queue.sent.size).toBe(50);
    expect(most).toBe(6);
  });

  it("goes on after a refusal, and stops after any other failure", async () => {
    const refused: string[] = [];
    let broken = false;
    const queue = queueOf({
      send: async (place) => {
        if (place === 1) throw new Refusal("not this one");
        if (broken) throw new Problem("Down", "", 503);
        return true;
      },
      refuse: async (place, reason) => void refused.push(`${place} ${reason}`),
    });
    await queue.run([0, 1, 2], new AbortController());
    expect([...queue.sent]).toEqual([0, 2]);
    expect([refused, queue.problem]).toEqual([["1 not this one"], undefined]);
    broken = true;
    await queue.run(places(20).slice(3), new AbortController());
    expect(queue.problem?.title).toBe("Down");
    expect([...queue.sent]).toEqual([0, 2]);
  });

  it("prepares ahead of slow uploads, unless only memory has the image", async () => {
    const prepared: number[] = [];
    const never = () => new Promise<boolean>(() => undefined);
    const kept = queueOf({
      prepare: async (place) => void prepared.push(place) as undefined,
      send: never,
    });
    void kept.run(places(30), new AbortController());
    await eventually(() => expect(prepared).toHaveLength(30));
    let inMemory = 0;
    const unkept = queueOf({
      prepare: async () => {
        inMemory += 1;
        return new Blob(["image"]);
      },
      send: never,
    });
    const running = unkept.run(places(30), new AbortController());
    await Promise.race([running, new Promise((done) => setTimeout(done))]);
    expect(inMemory).toBe(4);
  });
});

const FORMS: Forms = { of: async () => ({ url: "", fields: {} }), renew: () => undefined };
const { signal } = new AbortController();

describe("one image", () => {
  it("that cannot be read any more is refused; a network that is down stops all", async () => {
    vi.useFakeTimers();
    const down = async () => {
      throw new Problem("No network", "", 0);
    };
    const gone = new Blob(["x"]);
    gone.slice = () => ({ arrayBuffer: () => Promise.reject(new Error("gone")) }) as never;
    const outcomes = [gone, new Blob(["x"])].map((image) =>
      deliver(image, 0, FORMS, signal, down).catch((error: unknown) => error),
    );
    await vi.runAllTimersAsync();
    const [unreadable, offline] = await Promise.all(outcomes);
    expect(unreadable).toBeInstanceOf(Refusal);
    expect(offline).toMatchObject({ title: "No network" });
  });

  it("whose form has expired gets another form, once", async () => {
    const renew = vi.fn();
    const expired = async () => {
      throw new Problem("Refused", "Policy expired.", 403);
    };
    await expect(deliver(new Blob(["x"]), 7, { ...FORMS, renew }, signal, expired)).rejects.toThrow(
      new Refusal("Policy expired."),
    );
    expect(renew.mock.calls).toEqual([[7]]);
  });
});

it("a call that succeeds just before an abort has succeeded: nothing is sent twice", async () => {
  const controller = new AbortController();
  const call = async () => {
    controller.abort();
    return "arrived";
  };
  expect(await retry(call, controller.signal)).toBe("arrived");
});
