/**
 * Labels that a person chose, on their way to the service. What is shown is what was chosen; sending
 * follows, survives failures and a reload, and is repeated until the service agrees.
 */
import { effect, signal } from "@preact/signals";
import type { Schemas } from "../api/client";
import { asProblem, Problem } from "../api/problem";
import { config, token } from "../api/session";
import { announce } from "../ui/announce";

export type Label = Schemas["PredictionAnswer"]["prediction"];

/** `training`: the next training learns from it. `waiting`: an admin decides first. */
export type Outcome = "training" | "waiting";

export interface Named {
  id: string;
  name: string;
}

export interface Decision extends Named {
  /** The label that was chosen; null after an undo. */
  wanted: Label | null;
  /** The label that the service has. */
  saved: Label | null;
  outcome?: Outcome | undefined;
  /** Why the service will never take it, for instance because the image is gone. */
  refused?: string | undefined;
}

export interface Reply {
  id: string;
  outcome?: Outcome | undefined;
  refused?: string | undefined;
}

/** How decisions reach the service. Both throw Problem if none of them arrived. */
export interface Service {
  label(ids: readonly string[], label: Label): Promise<readonly Reply[]>;
  undo(id: string): Promise<void>;
}

/** Decisions in one request. */
export const MAX_AT_ONCE = 100;

/** Milliseconds before the first automatic retry; each later wait is twice as long, up to a minute. */
const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 60_000;

const PREFIX = "decision:";

const open = ({ wanted, saved, refused }: Decision): boolean =>
  refused === undefined && wanted !== saved;

/** Whether the service refuses this one decision for good, rather than this moment or this tab. */
const final = (error: unknown): error is Problem =>
  error instanceof Problem &&
  error.status >= 400 &&
  error.status < 500 &&
  ![401, 403, 408, 429].includes(error.status);

export class Decisions {
  readonly all = signal<ReadonlyMap<string, Decision>>(new Map());
  /** Why the last attempt failed; undefined while all is well. */
  readonly problem = signal<Problem | undefined>(undefined);
  private running = false;
  private failures = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `kept` holds what is not saved yet, each under a key of its own so that tabs do not collide. */
  constructor(
    private readonly service: Service,
    private readonly kept: Storage | null,
  ) {
    const found = new Map<string, Decision>();
    for (const key of kept ? Object.keys(kept) : []) {
      if (!key.startsWith(PREFIX)) continue;
      try {
        const one = JSON.parse(kept?.getItem(key) ?? "") as Decision;
        found.set(one.id, one);
      } catch {
        kept?.removeItem(key);
      }
    }
    this.all.value = found;
  }

  /** Choose `label` for the images, or undo the choice with null. Shown at once, sent in order. */
  decide(images: readonly Named[], label: Label | null): void {
    this.change(
      images.map(({ id, name }) => {
        const before = this.all.value.get(id);
        return { saved: null, ...before, id, name, wanted: label, refused: undefined };
      }),
    );
    void this.send();
  }

  /** Take over what was decided elsewhere or earlier; what is on its way from here stays. */
  learn(decided: readonly (Named & { label: Label; outcome: Outcome })[]): void {
    this.change(
      decided.flatMap(({ id, name, label, outcome }) => {
        const before = this.all.value.get(id);
        if (before && (open(before) || before.refused !== undefined)) return [];
        return [{ id, name, wanted: label, saved: label, outcome }];
      }),
    );
  }

  /** How many are not saved yet. */
  get waiting(): number {
    return [...this.all.value.values()].filter(open).length;
  }

  /** Remove a refused decision from the list. */
  dismiss(id: string): void {
    const rest = new Map(this.all.value);
    rest.delete(id);
    this.all.value = rest;
  }

  /** Send what is not saved, now. Returns when all is saved, or an attempt has failed. */
  async send(): Promise<void> {
    if (this.running) return;
    this.running = true;
    clearTimeout(this.timer);
    try {
      for (let some = this.next(); some.length > 0; some = this.next()) {
        await this.sendSome(some);
        this.failures = 0;
      }
      if (this.problem.value) announce("All labels are saved");
      this.problem.value = undefined;
    } catch (error) {
      this.failures += 1;
      const failed = asProblem(error, config.value.api);
      if (!this.problem.value) announce(`Not saved yet. ${failed.title}`);
      this.problem.value = failed;
      // Without a token, every attempt fails: signing in sends them.
      if (!failed.unauthorized) {
        const wait = FIRST_WAIT_MS * 2 ** (this.failures - 1);
        this.timer = setTimeout(() => void this.send(), Math.min(wait, LONGEST_WAIT_MS));
      }
    } finally {
      this.running = false;
    }
  }

  /** Decisions that one request can send: one undo, or images with the same label. */
  private next(): readonly Decision[] {
    const waiting = [...this.all.value.values()].filter(open);
    const undone = waiting.find(({ saved }) => saved !== null);
    if (undone) return [undone];
    const label = waiting[0]?.wanted;
    return waiting.filter(({ wanted }) => wanted === label).slice(0, MAX_AT_ONCE);
  }

  private async sendSome(some: readonly Decision[]): Promise<void> {
    const [first] = some as readonly [Decision];
    try {
      if (first.saved !== null) {
        await this.service.undo(first.id);
        this.settle([{ id: first.id }], null);
      } else {
        const label = first.wanted as Label;
        this.settle(
          await this.service.label(
            some.map(({ id }) => id),
            label,
          ),
          label,
        );
      }
    } catch (error) {
      if (some.length > 1 || !final(error)) throw error;
      this.settle([{ id: first.id, refused: error.detail || error.title }], first.saved);
    }
  }

  /** Record that the service has `label` for those it did not refuse. */
  private settle(replies: readonly Reply[], label: Label | null): void {
    this.change(
      replies.flatMap(({ id, outcome, refused }) => {
        const before = this.all.value.get(id);
        if (!before) return [];
        if (refused !== undefined) announce(`${before.name} was not saved. ${refused}`);
        // An undo that was pressed meanwhile has nothing left to take back.
        if (refused !== undefined && before.wanted === before.saved) return [before];
        return [
          refused === undefined ? { ...before, saved: label, outcome } : { ...before, refused },
        ];
      }),
    );
  }

  private change(some: readonly Decision[]): void {
    const changed = new Map(this.all.value);
    for (const one of some) {
      changed.set(one.id, one);
      try {
        if (open(one)) this.kept?.setItem(PREFIX + one.id, JSON.stringify(one));
        else this.kept?.removeItem(PREFIX + one.id);
      } catch {
        // No room: the decision lives as long as the tab.
      }
    }
    this.all.value = changed;
  }
}

/** Send again when the network is back, and after signing in. Call it once. */
export function sendWhenPossible(decisions: Decisions): void {
  addEventListener("online", () => void decisions.send());
  effect(() => {
    if (token.value !== null) void decisions.send();
  });
}
