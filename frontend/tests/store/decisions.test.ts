import { expect, it, vi } from "vitest";
import { Problem } from "../../src/api/problem";
import { Decisions, type Label, type Reply, type Service } from "../../src/store/decisions";
import { eventually } from "../eventually";

const BAIT = "clickbait_fake";
const REAL = "clickbait_real";

const named = (...ids: string[]) => ids.map((id) => ({ id, name: `${id}.jpg` }));

/** A service in memory; `down` makes every call fail, `gone` are images it refuses. */
class Memory implements Service {
  readonly labels = new Map<string, Label>();
  readonly calls: string[] = [];
  readonly gone = new Set<string>();
  down: Problem | undefined;
  /** Set to hold the next call until it is resolved. */
  held: Promise<void> | undefined;

  async label(ids: readonly string[], label: Label): Promise<Reply[]> {
    this.calls.push(`${label} ${ids.join(" ")}`);
    await this.held;
    if (this.down) throw this.down;
    if (ids.length === 1 && this.gone.has(ids[0] as string)) {
      throw new Problem("Not found", "The image is gone.", 404);
    }
    return ids.map((id) => {
      if (this.gone.has(id)) return { id, refused: "The image is gone." };
      this.labels.set(id, label);
      return { id, outcome: "training" };
    });
  }

  async undo(id: string): Promise<void> {
    this.calls.push(`undo ${id}`);
    if (this.down) throw this.down;
    this.labels.delete(id);
  }
}

/** localStorage as the page uses it: keys are its own properties. */
function storage(): Storage {
  const methods = {
    getItem(this: Record<string, string>, key: string) {
      return this[key] ?? null;
    },
    setItem(this: Record<string, string>, key: string, value: string) {
      this[key] = value;
    },
    removeItem(this: Record<string, string>, key: string) {
      delete this[key];
    },
  };
  return Object.create(methods) as Storage;
}

const saved = (decisions: Decisions) => eventually(() => expect(decisions.waiting).toBe(0));
const failed = (decisions: Decisions) =>
  eventually(() => expect(decisions.problem.value).toBeDefined());

const offline = () => new Problem("Can’t reach the service", "Check your connection.", 0);

it("a decision is shown at once and then saved", async () => {
  const service = new Memory();
  const decisions = new Decisions(service, null);
  decisions.decide(named("a"), BAIT);
  expect(decisions.all.value.get("a")).toMatchObject({ wanted: BAIT, saved: null });
  await saved(decisions);
  expect(service.labels.get("a")).toBe(BAIT);
  expect(decisions.all.value.get("a")).toMatchObject({ saved: BAIT, outcome: "training" });
});

it("what piles up behind a slow request goes out together", async () => {
  const service = new Memory();
  let release = () => {};
  service.held = new Promise((resolve) => {
    release = resolve;
  });
  const decisions = new Decisions(service, null);
  for (const id of ["a", "b", "c"]) decisions.decide(named(id), BAIT);
  release();
  await saved(decisions);
  expect(service.calls).toEqual([`${BAIT} a`, `${BAIT} b c`]);
});

it("an undo before the request leaves sends nothing, and one after it takes the label back", async () => {
  const service = new Memory();
  service.down = offline();
  const decisions = new Decisions(service, null);
  decisions.decide(named("a", "b"), BAIT);
  await failed(decisions);
  decisions.decide(named("a"), null);
  service.down = undefined;
  await decisions.send();
  await saved(decisions);
  expect([...service.labels.keys()]).toEqual(["b"]);
  expect(service.calls).not.toContain("undo a");
  decisions.decide(named("b"), null);
  await saved(decisions);
  expect(service.labels.size).toBe(0);
});

it("an undo while the request is under way is sent behind it", async () => {
  const service = new Memory();
  let release = () => {};
  service.held = new Promise((resolve) => {
    release = resolve;
  });
  const decisions = new Decisions(service, null);
  decisions.decide(named("a"), BAIT);
  decisions.decide(named("a"), null);
  release();
  await eventually(() => expect(service.calls).toContain("undo a"));
  await saved(decisions);
  expect(service.labels.size).toBe(0);
});

it("another label first takes the old one back", async () => {
  const service = new Memory();
  const decisions = new Decisions(service, null);
  decisions.decide(named("a"), BAIT);
  await saved(decisions);
  decisions.decide(named("a"), REAL);
  await saved(decisions);
  expect(service.calls).toEqual([`${BAIT} a`, "undo a", `${REAL} a`]);
  expect(service.labels.get("a")).toBe(REAL);
});

it("a failure is shown, and is tried again by itself until it is saved", async () => {
  vi.useFakeTimers();
  try {
    const service = new Memory();
    service.down = offline();
    const decisions = new Decisions(service, null);
    decisions.decide(named("a"), BAIT);
    await vi.advanceTimersByTimeAsync(0);
    expect(decisions.problem.value?.title).toContain("reach the service");
    expect(decisions.waiting).toBe(1);
    service.down = undefined;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(decisions.waiting).toBe(0);
    expect(decisions.problem.value).toBeUndefined();
  } finally {
    vi.useRealTimers();
  }
});

it("a reload while offline loses nothing", async () => {
  const kept = storage();
  const service = new Memory();
  service.down = offline();
  const before = new Decisions(service, kept);
  before.decide(named("a", "b"), BAIT);
  before.decide(named("b"), null);
  await failed(before);
  service.down = undefined;
  const after = new Decisions(service, kept);
  expect(after.waiting).toBe(1);
  await after.send();
  expect([...service.labels]).toEqual([["a", BAIT]]);
  expect(Object.keys(kept)).toEqual([]);
});

it("one refused image does not hold up the others, and says why", async () => {
  const service = new Memory();
  service.gone.add("b");
  const decisions = new Decisions(service, null);
  decisions.decide(named("a", "b", "c"), BAIT);
  await saved(decisions);
  expect([...service.labels.keys()]).toEqual(["a", "c"]);
  expect(decisions.all.value.get("b")?.refused).toBe("The image is gone.");
  service.gone.add("d");
  decisions.decide(named("d"), BAIT);
  await saved(decisions);
  expect(decisions.all.value.get("d")?.refused).toBe("The image is gone.");
  decisions.dismiss("d");
  expect(decisions.all.value.has("d")).toBe(false);
});

it("what was decided elsewhere is taken over, unless this browser decides otherwise", async () => {
  const service = new Memory();
  service.down = offline();
  const decisions = new Decisions(service, null);
  decisions.decide(named("a"), BAIT);
  await failed(decisions);
  decisions.learn([
    { id: "a", name: "a.jpg", label: REAL, outcome: "training" },
    { id: "b", name: "b.jpg", label: REAL, outcome: "waiting" },
  ]);
  expect(decisions.all.value.get("a")).toMatchObject({ wanted: BAIT, saved: null });
  expect(decisions.all.value.get("b")).toMatchObject({ wanted: REAL, outcome: "waiting" });
  expect(decisions.waiting).toBe(1);
});

it("a refused token keeps the decisions, and does not repeat the request", async () => {
  vi.useFakeTimers();
  try {
    const service = new Memory();
    service.down = new Problem("Wrong token", "", 403);
    const decisions = new Decisions(service, null);
    decisions.decide(named("a"), BAIT);
    await vi.advanceTimersByTimeAsync(600_000);
    expect(service.calls).toHaveLength(1);
    expect(decisions.waiting).toBe(1);
  } finally {
    vi.useRealTimers();
  }
});
