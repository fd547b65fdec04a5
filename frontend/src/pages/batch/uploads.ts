/**
 * The uploads of a batch: each file shrunk, kept until it is in the bucket, and sent once. They go on
 * while other pages are looked at, and after a reload with what was kept.
 */
import { type Signal, signal } from "@preact/signals";
import pLimit, { type LimitFunction } from "p-limit";
import { api, ask } from "../../api/client";
import { asProblem, Problem } from "../../api/problem";
import { config } from "../../api/session";
import { upload } from "../../api/upload";
import { bytes } from "../../format";
import { prepare } from "../../image/prepare";
import { Forms } from "./forms";
import * as keep from "./keep";
import { namesOf } from "./names";
import { patient } from "./patient";
import { MOST, thumbnailOf } from "./thumbnails";

/** Images made smaller at a time: decoding is what the workers of `prepare` do, three at most. */
const PREPARED_AT_ONCE = 4;

/** Uploads at a time: a browser opens six connections to a host. */
const SENT_AT_ONCE = 6;

/** Milliseconds between two looks at the counts: a number that changes faster cannot be read. */
const TOLD_MS = 200;

/** How S3 refuses a form that is too old. */
const FORBIDDEN = 403;

const UNREADABLE =
  "This browser can no longer read it: it was moved, changed or deleted after it was chosen.";

/** Why uploads end that the user stopped. */
const STOPPED = new DOMException("Stopped", "AbortError");

/**
 * `uploading`: files go to the bucket. `elsewhere`: another tab of this browser does that. `paused`:
 * it failed, and goes on when asked. `lacking`: a reload lost files, which have to be chosen again.
 * `given`: the service has what there is.
 */
export type Phase = "uploading" | "elsewhere" | "paused" | "lacking" | "given";

/** How far the uploads of a batch are. */
export interface Told {
  phase: Phase;
  sent: number;
  /** Files that are nowhere but in this tab. */
  unsafe: number;
  /** Whether this browser keeps what is not uploaded yet. */
  keeps: boolean;
  refused: readonly keep.Refused[];
  /** Names of the files that a reload lost. */
  lacking: readonly string[];
  problem: Problem | undefined;
}

export class Uploads {
  readonly told: Signal<Told>;
  private readonly forms: Forms;
  private readonly unsafe = new Map<number, File>();
  private readonly over = new Set<number>();
  private readonly refused: keep.Refused[] = [];
  private phase: Phase = "uploading";
  private problem: Problem | undefined;
  private lacking: number[] = [];
  private stopping = new AbortController();
  private going: Promise<void> = Promise.resolve();
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly batch: keep.Kept,
    private readonly names: readonly string[],
    private keeps = true,
  ) {
    this.forms = new Forms(batch.id);
    this.told = signal(this.count());
  }

  get atRisk(): boolean {
    return this.unsafe.size > 0;
  }

  /** Upload what was kept, and `files` at their places in the list of names; then have the service
   * start. What fails is told, and asks to be called again. */
  go(files: Iterable<readonly [place: number, file: File]> = []): Promise<void> {
    for (const [place, file] of files) this.unsafe.set(place, file);
    this.going = this.run();
    return this.going;
  }

  /** Go on with those of `files` that are lacking, by their names; returns how many they are. */
  goWith(files: readonly File[]): number {
    const places = new Map(this.lacking.map((place) => [this.names[place], place]));
    const found = new Map<number, File>();
    for (const [at, name] of namesOf(files).entries()) {
      const [place, file] = [places.get(name), files[at]];
      if (place !== undefined && file) found.set(place, file);
    }
    if (found.size > 0) void this.go(found);
    return found.size;
  }

  /** Send no more: what is in the bucket is predicted, and the rest fails. */
  async stop(): Promise<void> {
    this.stopping.abort(STOPPED);
    await this.going;
    this.unsafe.clear();
    await keep.dropFiles(this.batch.id);
    try {
      await this.start();
    } catch (error) {
      this.tell("paused", asProblem(error, config.value.api));
    }
  }

  private async run(): Promise<void> {
    const stopping = new AbortController();
    this.stopping = stopping;
    try {
      await alone(
        this.batch.id,
        stopping.signal,
        () => this.tell("elsewhere"),
        () => this.all(stopping),
      );
    } catch (error) {
      stopping.abort();
      if (stopping.signal.reason !== STOPPED) {
        this.tell("paused", asProblem(error, config.value.api));
      }
    }
  }

  /** Send everything; throws what stops all of it. */
  private async all(stopping: AbortController): Promise<void> {
    const { id } = this.batch;
    const [known, waiting, over] = await Promise.all([
      keep.find(id),
      keep.waitingOf(id),
      keep.overOf(id),
    ]);
    if (known && known.state !== "uploading") return this.tell("given");
    for (const [place, why] of over) this.note(place, why);
    this.tell("uploading");

    const { signal } = stopping;
    const preparing = pLimit(PREPARED_AT_ONCE);
    const sending = pLimit(SENT_AT_ONCE);
    const failures: unknown[] = [];
    const tasks = new Set<Promise<void>>();
    const begin = (limit: LimitFunction, work: () => Promise<void>): Promise<void> => {
      const task = limit(async () => {
        if (!signal.aborted) await work();
      })
        .catch((error: unknown) => {
          failures.push(error);
          stopping.abort(); // One reason stops all: the others would only fail for the same.
        })
        .finally(() => tasks.delete(task));
      tasks.add(task);
      return task;
    };
    const sendHeld = (place: number) =>
      begin(sending, async () => {
        const image = await keep.held(id, place);
        if (!image) return;
        const thumbnail = place < MOST ? await thumbnailOf(image) : null;
        if (thumbnail) await keep.holdThumbnail(id, this.nameOf(place), thumbnail);
        await this.send(place, image, signal);
      });

    for (const place of waiting) void sendHeld(place);
    for (const [place, file] of this.unsafe) {
      void begin(preparing, async () => {
        const image = await this.read(place, file);
        if (!image) return;
        if (await this.hold(place, image)) return void sendHeld(place);
        if (!(await readable(image))) return this.settle(place, UNREADABLE);
        // Only this memory has it: the next one is read when this one is sent.
        this.keeps = false;
        await begin(sending, () => this.send(place, image, signal));
      });
    }
    while (tasks.size > 0) await Promise.all(tasks);
    if (failures.length > 0) throw failures[0];
    signal.throwIfAborted();

    this.lacking = [];
    for (let place = 0; place < this.batch.files; place++) {
      if (!this.over.has(place)) this.lacking.push(place);
    }
    if (this.lacking.length > 0) this.tell("lacking");
    else await this.start();
  }

  /** The image as it is to be sent; null where that is not possible, which is noted. */
  private async read(place: number, file: File): Promise<File | null> {
    const { file: image } = await prepare(file, this.batch.original);
    const { largest } = this.batch;
    if (image.size > 0 && image.size <= largest) return image;
    const why = image.size === 0 ? "It is empty." : `It has ${bytes(image.size)}.`;
    const limits = `The service takes images of 1 byte to ${bytes(largest)}.`;
    await this.settle(place, (await readable(image)) ? `${why} ${limits}` : UNREADABLE);
    return null;
  }

  /** Have an image outlive this tab; false where the browser does not. */
  private async hold(place: number, image: File): Promise<boolean> {
    if (!this.keeps || !(await keep.hold(this.batch.id, place, image))) return false;
    this.unsafe.delete(place);
    this.touch();
    return true;
  }

  private async send(place: number, image: Blob, signal: AbortSignal): Promise<void> {
    try {
      await this.post(place, image, signal);
    } catch (error) {
      // What S3 says of one image is no reason to stop: the others may well be taken.
      if (!(error instanceof Refusal)) throw error;
      return this.settle(place, error.message);
    }
    await this.settle(place);
  }

  private async post(place: number, image: Blob, signal: AbortSignal): Promise<void> {
    for (const last of [false, true]) {
      const form = await this.forms.of(place, signal);
      try {
        return await patient(() => upload(form, image, signal), signal);
      } catch (error) {
        if (!refused(error)) throw error;
        if (error.status !== FORBIDDEN || last) throw new Refusal(error.detail);
        this.forms.forget(place);
      }
    }
  }

  /** A file is uploaded, or `why` it cannot be. */
  private async settle(place: number, why = ""): Promise<void> {
    await keep.settle(this.batch.id, place, why);
    this.unsafe.delete(place);
    this.note(place, why);
    this.touch();
  }

  private note(place: number, why: string): void {
    if (this.over.has(place)) return;
    this.over.add(place);
    if (why) this.refused.push({ name: this.nameOf(place), why });
  }

  private nameOf(place: number): string {
    return this.names[place] ?? `File ${place + 1}`;
  }

  /** Nothing more comes from here. */
  private async start(): Promise<void> {
    const { id } = this.batch;
    await patient(() =>
      ask(api().POST("/batches/{batch}/start", { params: { path: { batch: id } } })),
    );
    await keep.update(id, { state: "given", refused: this.refused });
    await keep.dropFiles(id);
    this.tell("given");
  }

  // --- what is told ------------------------------------------------------------------------------

  private tell(phase: Phase, problem?: Problem): void {
    this.phase = phase;
    this.problem = problem;
    this.publish();
  }

  private touch(): void {
    this.timer ??= setTimeout(() => this.publish(), TOLD_MS);
  }

  private publish(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.told.value = this.count();
    guard();
  }

  private count(): Told {
    return {
      phase: this.phase,
      sent: this.over.size - this.refused.length,
      unsafe: this.unsafe.size,
      keeps: this.keeps,
      refused: this.refused,
      lacking: this.phase === "lacking" ? this.lacking.map((place) => this.nameOf(place)) : [],
      problem: this.problem,
    };
  }
}

/** Whether a file is still what it was when it was chosen; one that is gone looks like an empty one. */
const readable = (file: File): Promise<boolean> =>
  (file.size > 0 ? file.slice(0, 1) : file).arrayBuffer().then(
    () => true,
    () => false,
  );

/** S3 does not take this image. */
class Refusal extends Error {}

const refused = (error: unknown): error is Problem =>
  error instanceof Problem && !error.passing && error.status >= 400 && error.status < 500;

/** `work` while no other tab of this browser does the same; says so where it has to wait. */
async function alone(
  batch: string,
  signal: AbortSignal,
  wait: () => void,
  work: () => Promise<void>,
): Promise<void> {
  const { locks } = navigator;
  if (!locks) return work(); // Where the address is not a safe one there are none.
  const name = `batch ${batch}`;
  const free = await locks.request(name, { ifAvailable: true }, async (lock) => {
    if (lock) await work();
    return lock !== null;
  });
  if (free) return;
  wait();
  await locks.request(name, { signal }, work);
}

// --- those of this tab -----------------------------------------------------------------------------

const running = new Map<string, Uploads>();

const warn = (event: BeforeUnloadEvent) => event.preventDefault();

/** Have the browser ask before it leaves with images that are nowhere else. */
function guard(): void {
  const needed = [...running.values()].some((one) => one.atRisk);
  if (needed) addEventListener("beforeunload", warn);
  else removeEventListener("beforeunload", warn);
}

/** Begin a batch of `files` and their uploads; returns its id, or throws Problem. */
export async function begin(files: readonly File[], original: boolean): Promise<string> {
  const names = namesOf(files);
  const made = await ask(api().POST("/batches", { body: { files: names } }));
  const batch: keep.Kept = {
    id: made.id,
    at: Date.now(),
    files: files.length,
    state: "uploading",
    original,
    largest: made.uploads.max_bytes,
    refused: [],
  };
  const uploads = new Uploads(batch, names, await keep.begun(batch, names));
  running.set(batch.id, uploads);
  void uploads.go(files.entries());
  return batch.id;
}

/** The uploads of a batch: those of this tab, or those that an earlier one left, which go on now. */
export async function uploadsOf(id: string): Promise<Uploads | undefined> {
  const batch = running.has(id) ? undefined : await keep.find(id);
  const names = batch?.state === "uploading" ? await keep.namesIn(id) : undefined;
  const here = running.get(id);
  if (here || !batch || !names) return here;
  const uploads = new Uploads(batch, names);
  running.set(id, uploads);
  void uploads.go();
  return uploads;
}
