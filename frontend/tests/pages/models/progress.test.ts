import { describe, expect, it } from "vitest";
import {
  bestOf,
  type Epoch,
  epochsOf,
  runUnderWay,
  secondsLeft,
  stepsOf,
  titleOf,
  tookSeconds,
} from "../../../src/pages/models/progress";

const at = (seconds: number) => new Date(1_790_000_000_000 + 1_000 * seconds).toISOString();
const now = (seconds: number) => new Date(at(seconds)).getTime();

const epoch = (change: Partial<Epoch>): Epoch => ({
  member: 1,
  epoch: 1,
  loss: null,
  accuracy: null,
  val_loss: null,
  val_accuracy: null,
  val_auc: null,
  seconds: null,
  ...change,
});

it("names the epoch in the tab's title, and then how the run ended", () => {
  const run = { state: "RUNNING", method: "fine_tuning", epoch: 3, epochs: 10 } as const;
  expect(titleOf(run)).toBe("Training · epoch 3 of 10");
  expect(titleOf({ ...run, epoch: null })).toBe("Training");
  expect(titleOf({ ...run, method: "small_update" })).toBe("Learning from your images");
  expect(titleOf({ ...run, state: "QUEUED" })).toBe("Waiting for a machine");
  expect(titleOf({ ...run, state: "PROMOTED" })).toBe("New model is live");
  expect(titleOf({ ...run, state: "FAILED" })).toBe("Training failed");
});

describe("the steps of a run", () => {
  it("are done, current or ahead, with the duration of each", () => {
    const times = { QUEUED: at(0), RUNNING: at(60) };
    const method = "fine_tuning";
    expect(stepsOf({ state: "RUNNING", times, method }, now(100))).toEqual([
      { name: "Queued", place: "done", at: at(0), seconds: 60 },
      { name: "Training", place: "now", at: at(60), seconds: 40 },
      { name: "Evaluating", place: "ahead" },
      { name: "Decision", place: "ahead" },
    ]);
  });

  it("are skipped after an early end, and the clock stops", () => {
    const times = { QUEUED: at(0), RUNNING: at(5), REJECTED: at(30) };
    const steps = stepsOf({ state: "REJECTED", times, method: "fine_tuning" }, now(9_999));
    expect(steps.map(({ place }) => place)).toEqual(["done", "done", "skipped", "done"]);
    expect(steps[1]?.seconds).toBe(25);
    expect(steps[3]).toMatchObject({ end: "REJECTED", at: at(30) });
    expect(tookSeconds({ state: "REJECTED", times, created: at(0) }, now(9_999))).toBe(30);
  });

  it("have other names in a small update, which trains no network", () => {
    const run = { state: "PROMOTED", times: {}, method: "small_update" } as const;
    const names = stepsOf(run, now(0)).map(({ name }) => name);
    expect(names).toEqual(["Starting", "Learning", "Testing", "Promoted"]);
  });

  it("belong to one active run", () => {
    const run = (id: string, state: "PROMOTED" | "EVALUATING" | "CANCELLED") =>
      ({ id, state }) as never;
    expect(runUnderWay([run("b", "PROMOTED"), run("a", "PROMOTED")])).toBeUndefined();
    expect(runUnderWay([run("b", "CANCELLED")])).toBeUndefined();
    expect(runUnderWay([run("b", "EVALUATING"), run("a", "PROMOTED")])).toMatchObject({ id: "b" });
  });
});

describe("the epochs of a run", () => {
  it("have null, never NaN, if nothing was measured", () => {
    expect(epochsOf([{ epoch: 2, loss: 0.5, val_auc: null, accuracy: "?" }])).toEqual([
      epoch({ epoch: 2, loss: 0.5 }),
    ]);
    expect(epochsOf(null)).toEqual([]);
  });

  it("are best at the highest validation AUC, the first of equals", () => {
    const all = [0.7, 0.9, 0.9, 0.8].map((val_auc, n) => epoch({ epoch: n + 1, val_auc }));
    expect(bestOf(all)?.epoch).toBe(2);
    const without = [0.9, 0.4, 0.6].map((val_loss, n) => epoch({ epoch: n + 1, val_loss }));
    expect(bestOf(without)?.epoch).toBe(2);
    expect(bestOf([])).toBeUndefined();
  });

  it("predict the time left from the latest ones, not from the slow first one", () => {
    const all = [90, 10, 12, 11].map((seconds, n) => epoch({ epoch: n + 1, seconds }));
    expect(secondsLeft(all, 10)).toBe(66);
    expect(secondsLeft(all, 4)).toBe(0);
    expect(secondsLeft([], 10)).toBeNull();
  });
});
