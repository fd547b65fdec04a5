/** Labelled images on their way to the bucket: thousands, several at a time, none lost from sight. */
import { type Signal, signal } from "@preact/signals";
import pRetry from "p-retry";
import type { Schemas } from "../../api/client";
import { asProblem, Problem } from "../../api/problem";
import { type Uploadable, type UploadForm, uploadable } from "../../api/upload";
import { bytes } from "../../format";

export type Label = Schemas["TrainingUpload"]["label"];

/** Forms that one request gives at most. */
export const CHUNK = 100;

/** Images under way at a time: as many as a browser opens connections to one host. */
const LANES = 6;

/** Tries of one image after the first: what passes has passed after 1 + 2 + 4 seconds. */
const RETRIES = 3;

/** Milliseconds between two tellings: thousands of images must not mean thousands of renderings. */
const TELL_MS = 200;

/** Milliseconds before a form's end from which it is not begun with: the image has to travel. */
const MARGIN_MS = 60_000;

/** Files that are told by name; of the rest only the count is. */
export const NAMED = 20;

export interface Named {
  name: string;
  why: string;
}

export interface Progress {
  /** `ready`: not begun; `paused`: by its user, or by a `problem`; `done`: nothing is left to try. */
  phase: "ready" | "running" | "paused" | "done";
  /** Images to send, and their bytes; what is left out is not among them. */
  images: number;
  bytes: number;
  sent: number;
  sentBytes: number;
  failed: number;
  leftOut: number;
  /** The first NAMED of those that failed, and of those left out, with the reasons. */
  failures: readonly Named[];
  outside: readonly Named[];
  /** Images a second since it was last begun; null where nothing tells it yet. */
  rate: number | null;
  /** Why all of it stopped, where it was not its user. */
  problem: Problem | null;
}

export interface Ways {
  /** Signed forms for `count` images of a type. */
  forms: (type: Uploadable, count: number) => Promise<Schemas["UploadForms"]>;
  send: (form: UploadForm, file: File, signal: AbortSignal) => Promise<void>;
  /** Milliseconds before the first further try. */
  patience?: number;
}

const WAITING = 0;
const TAKEN = 1;
const SENT = 2;
const FAILED = 3;
const LEFT_OUT = 4;

/** There are no forms: not the fault of one image, so that no other one is tried. */
class NoForms extends Error {
  constructor(readonly problem: Problem) {
    super(problem.message);
  }
}

/**
 * One upload of `files`, all of one label, as they are: unlike what is only classified they are not
 * shrunk. The training scales them to 224 pixels by itself, the same way that serving does, and an
 * original is still right when that size or way changes.
 */
export class LabelledUpload {
  readonly progress: Signal<Progress>;

  private readonly states: Uint8Array;
  private readonly reasons = new Map<number, string>();
  private readonly outside: Named[] = [];
  private readonly pools = new Map<Uploadable, Pool>();
  private stop: AbortController | null = null;
  private telling: ReturnType<typeof setTimeout> | undefined;
  private phase: Progress["phase"] = "ready";
  private problem: Problem | null = null;
  private limit: number | null = null;
  private next = 0;
  private images = 0;
  private bytes = 0;
  private sent = 0;
  private sentBytes = 0;
  private leftOut = 0;
  private began = { at: 0, sent: 0 };

  constructor(
    private readonly files: readonly File[],
    private readonly ways: Ways,
  ) {
    this.states = new Uint8Array(files.length);
    for (const [at, file] of files.entries()) {
      this.images += 1;
      this.bytes += file.size;
      if (!uploadable(file.type)) {
        this.leave(
          at,
          `${file.type || "Of no type that this browser knows"}: no JPEG, PNG or WebP`,
        );
      } else if (file.size === 0) {
        this.leave(at, "Empty");
      }
    }
    this.progress = signal(this.told());
  }

  /** Send all that waits; returns when nothing does, or when it is paused. Never throws. */
  async run(): Promise<void> {
    if (this.stop) return;
    this.stop = new AbortController();
    this.phase = "running";
    this.problem = null;
    this.next = 0;
    this.began = { at: performance.now(), sent: this.sent };
    this.tell(0);
    try {
      await this.measure();
      await Promise.all(Array.from({ length: LANES }, () => this.lane()));
    } catch (error) {
      this.halt(error);
    }
    for (const [at, state] of this.states.entries()) if (state === TAKEN) this.states[at] = WAITING;
    this.phase = this.states.includes(WAITING) ? "paused" : "done";
    this.stop = null;
    this.tell(0);
  }

  /** Stop; what is under way is given up, and waits. */
  pause(): void {
    this.stop?.abort();
  }

  /** Try once more what failed. */
  retry(): Promise<void> {
    for (const at of this.reasons.keys()) this.states[at] = WAITING;
    this.reasons.clear();
    return this.run();
  }

  /** Leave out what is too large, before anything is sent: the first forms say what that is. */
  private async measure(): Promise<void> {
    if (this.limit !== null) return;
    const first = this.states.indexOf(WAITING);
    if (first < 0) return;
    const most = await this.pool(first).limit();
    this.limit = most;
    for (const [at, file] of this.files.entries()) {
      if (this.states[at] === WAITING && file.size > most) {
        this.leave(at, `${bytes(file.size)}: the limit is ${bytes(most)}`);
      }
    }
    this.tell(0);
  }

  private async lane(): Promise<void> {
    for (;;) {
      const at = this.take();
      if (at < 0) return;
      try {
        await this.one(at);
        this.states[at] = SENT;
        this.sent += 1;
        this.sentBytes += this.files[at]!.size;
      } catch (error) {
        if (this.stop?.signal.aborted) return;
        const reason = await this.whatIsWrongWith(at, error);
        if (reason === null) {
          this.halt(error);
          return;
        }
        this.states[at] = FAILED;
        this.reasons.set(at, reason);
      }
      this.tell();
    }
  }

  /** The next that waits; -1 where none does, or all of it was stopped. */
  private take(): number {
    if (this.stop?.signal.aborted) return -1;
    const at = this.states.indexOf(WAITING, this.next);
    if (at < 0) return -1;
    this.next = at + 1;
    this.states[at] = TAKEN;
    return at;
  }

  private async one(at: number): Promise<void> {
    const signal = this.stop!.signal;
    let arrived = false;
    try {
      await pRetry(
        async () => {
          const form = await this.pool(at).form();
          await this.ways.send(form, this.files[at]!, signal);
          arrived = true;
        },
        {
          retries: RETRIES,
          minTimeout: this.ways.patience ?? 1_000,
          signal,
          shouldRetry: ({ error }) => problemIn(error)?.passing ?? false,
        },
      );
    } catch (error) {
      // What is given up just after it arrived is there: once more would be a second copy.
      if (!arrived) throw error;
    }
  }

  /** The fault of this image; null where it is none of its own, and every other one would fail. */
  private async whatIsWrongWith(at: number, error: unknown): Promise<string | null> {
    if (error instanceof NoForms) return null;
    const problem = asProblem(error, "the bucket");
    if (!problem.passing) return problem.detail;
    // A file that was moved or changed since it was chosen fails as the network does.
    return this.files[at]!.slice(0, 1)
      .arrayBuffer()
      .then(
        () => null,
        () => "It cannot be read any more: it was moved or changed since it was chosen",
      );
  }

  private halt(error: unknown): void {
    if (this.stop?.signal.aborted) return;
    this.problem = problemIn(error) ?? asProblem(error, "the bucket");
    this.pause();
  }

  private pool(at: number): Pool {
    const type = this.files[at]!.type as Uploadable;
    let pool = this.pools.get(type);
    if (!pool) {
      const wanted = () =>
        this.files.reduce((n, file, i) => n + Number(file.type === type && this.isOpen(i)), 0);
      pool = new Pool((count) => this.ways.forms(type, count), wanted);
      this.pools.set(type, pool);
    }
    return pool;
  }

  private isOpen(at: number): boolean {
    return this.states[at] === WAITING || this.states[at] === TAKEN;
  }

  private leave(at: number, why: string): void {
    const file = this.files[at]!;
    this.states[at] = LEFT_OUT;
    this.images -= 1;
    this.bytes -= file.size;
    this.leftOut += 1;
    if (this.outside.length < NAMED) this.outside.push({ name: pathOf(file), why });
  }

  private tell(after = TELL_MS): void {
    if (after === 0) {
      clearTimeout(this.telling);
      this.telling = undefined;
      this.progress.value = this.told();
    } else {
      this.telling ??= setTimeout(() => this.tell(0), after);
    }
  }

  private told(): Progress {
    const seconds = (performance.now() - this.began.at) / 1000;
    const since = this.sent - this.began.sent;
    const failures: Named[] = [];
    for (const [at, why] of this.reasons) {
      if (failures.length === NAMED) break;
      failures.push({ name: pathOf(this.files[at]!), why });
    }
    return {
      phase: this.phase,
      images: this.images,
      bytes: this.bytes,
      sent: this.sent,
      sentBytes: this.sentBytes,
      failed: this.reasons.size,
      leftOut: this.leftOut,
      failures,
      outside: this.outside,
      rate: since > 0 ? since / seconds : null,
      problem: this.problem,
    };
  }
}

/** The forms of one content type: asked for when the last ones are used up, or too old. */
class Pool {
  private forms: UploadForm[] = [];
  private until = 0;
  private most = 0;
  private coming: Promise<void> | null = null;

  constructor(
    private readonly ask: (count: number) => Promise<Schemas["UploadForms"]>,
    private readonly wanted: () => number,
  ) {}

  async form(): Promise<UploadForm> {
    for (;;) {
      const form = Date.now() < this.until ? this.forms.pop() : undefined;
      if (form) return form;
      await this.more();
    }
  }

  /** Bytes of an image at most. */
  async limit(): Promise<number> {
    await this.more();
    return this.most;
  }

  /** Asks once, however many lanes want a form. */
  private more(): Promise<void> {
    this.coming ??= this.fetch().finally(() => {
      this.coming = null;
    });
    return this.coming;
  }

  private async fetch(): Promise<void> {
    try {
      const told = await this.ask(Math.min(CHUNK, Math.max(1, this.wanted())));
      if (told.items.length === 0) throw new Problem("No forms", "The service gave none.", -1);
      this.forms = [...told.items];
      this.until = Date.now() + Math.max(1_000 * told.expires_in - MARGIN_MS, 1_000);
      this.most = told.max_bytes;
    } catch (error) {
      throw new NoForms(asProblem(error, "the API"));
    }
  }
}

function problemIn(error: unknown): Problem | null {
  if (error instanceof NoForms) return error.problem;
  return error instanceof Problem ? error : null;
}

const pathOf = (file: File): string => file.webkitRelativePath || file.name;
