import { expect, it } from "vitest";
import { between, Queue } from "../../../src/pages/review/queue";
import type { Label, Named } from "../../../src/store/decisions";

const BAIT = "clickbait_fake";
const REAL = "clickbait_real";

const named = (...ids: string[]) => ids.map((id) => ({ id, name: `${id}.jpg` }));
const ids = (images: readonly Named[]) => images.map(({ id }) => id).join("");

function begin(...first: string[]) {
  const sent: string[] = [];
  const queue = new Queue({
    decide: (images: readonly Named[], label: Label | null) =>
      void sent.push(`${ids(images)} ${label}`),
  });
  queue.add(named(...first));
  return { queue, sent };
}

it("labels leave the queue in order, and a skip sends nothing", () => {
  const { queue, sent } = begin("a", "b", "c", "d");
  queue.act("a", BAIT);
  queue.act("b", null);
  queue.act("c", REAL);
  expect(ids(queue.waiting.value)).toBe("d");
  expect(sent).toEqual([`a ${BAIT}`, `c ${REAL}`]);
  expect([queue.reviewed, queue.skipped]).toEqual([2, 1]);
});

it("undo goes back step by step, and each image is the next again", () => {
  const { queue, sent } = begin("a", "b", "c", "d");
  queue.act("a", BAIT);
  queue.act(["b", "c"], REAL);
  queue.act("d", null);
  queue.undo();
  expect(ids(queue.waiting.value)).toBe("d");
  queue.undo();
  expect(ids(queue.waiting.value)).toBe("bcd");
  queue.undo();
  expect(ids(queue.waiting.value)).toBe("abcd");
  expect(queue.undo()).toBeUndefined();
  expect(sent.slice(2)).toEqual(["bc null", "a null"]);
});

it("an image that was decided does not come back with a later page or another filter", () => {
  const { queue } = begin("a", "b");
  queue.act("a", BAIT);
  queue.add(named("a", "b", "c"));
  expect(ids(queue.waiting.value)).toBe("bc");
  queue.restart();
  queue.add(named("a", "c"));
  expect(ids(queue.waiting.value)).toBe("c");
  queue.undo();
  queue.add(named("a"));
  expect(ids(queue.waiting.value)).toBe("ac");
});

it("only images that wait can be decided, so that a double press decides once", () => {
  const { queue, sent } = begin("a", "b");
  expect(queue.act("a", BAIT)).toBe(1);
  expect(queue.act("a", BAIT)).toBe(0);
  expect(sent).toHaveLength(1);
  expect(queue.acts.value).toHaveLength(1);
});

it("skipped images can be shown again", () => {
  const { queue } = begin("a", "b", "c");
  queue.act("a", null);
  queue.act("b", BAIT);
  queue.showSkipped();
  expect(ids(queue.waiting.value)).toBe("ca");
  expect([queue.reviewed, queue.skipped]).toEqual([1, 0]);
});

it("a shift-click selects everything between, in either direction", () => {
  const images = named("a", "b", "c", "d");
  expect(between(images, "b", "d")).toEqual(["b", "c", "d"]);
  expect(between(images, "d", "b")).toEqual(["b", "c", "d"]);
  expect(between(images, null, "c")).toEqual(["c"]);
  expect(between(images, "gone", "c")).toEqual(["c"]);
});
