/**
 * The uploads of a batch: each file is shrunk, kept in this browser, and sent once. They go on while
 * other pages are open, and after a reload with what was kept.
 */
import { type Signal, signal } from "@preact/signals";
import { api, ask } from "../../api/client";
import { MAX_TITLE } from "../../api/limits";
import { asProblem, type Problem } from "../../api/problem";
import { config } from "../../api/session";
import { bytes } from "../../format";
import { prepare, refusalText } from "../../image/prepare";
import { FormPages } from "../../upload/form-pages";
import { namesOf, pathOf, readable, UNREADABLE } from "../../upload/names";
import { deliver, Refusal, UploadQueue } from "../../upload/queue";
import { retry } from "../../upload/retry";
import * as kept from "./kept";
import { MAX_THUMBNAILS, thumbnailOf } from "./make-thumbnail";

/**
 * `uploading`: files go to the bucket. `elsewhere`: another tab of this browser does that. `paused`:
 * it failed, and can be resumed. `missing`: a reload lost files, which must be chosen again.
 * `given`: the service has all it will get.
 */
export type Phase = "uploading" | "elsewhere" | "paused" | "missing" | "given";

export interface Progress {
  phase: Phase;
  sent: number;
  /** Files that only this tab has. */
  unsafe: number;
  /** Whether this browser keeps what is not uploaded yet. */
  keeps: boolean;
  refused: readonly kept.Refused[];
  /** The former formats of the files that this tab converted. */
  converted: readonly string[];
  /** Names of the files that a reload lost. */
  missing: readonly string[];
  problem: Problem | undefined;
}

export class Uploads {
  readonly progress: Signal<Progress>;
  private readonly forms: FormPages;
  private readonly queue: UploadQueue;
  private readonly unsafe = new Map<number, File>();
  private phase: Phase = "uploading";
  private problem: Problem | undefined;
  private missing: number[] = [];
  /** Former formats by place: a file that this browser does not keep is converted again. */
  private readonly converted = new Map<number, string>();
  private controller = new AbortController();
  private running: Promise<void> = Promise.resolve();

  constructor(
    readonly batch: kept.Kept,
    private readonly names: readonly string[],
    private keeps = true,
  ) {
    this.forms = new FormPages(batch.id);
    this.queue = new UploadQueue(
      {
        prepare: (place) => this.prepare(place),
        send: (place, image, signal) => this.send(place, image, signal),
        refuse: (place, reason) => this.settle(place, reason),
      },
      () => this.publish(),
    );
    this.progress = signal(this.view());
  }

  get atRisk(): boolean {
    return this.unsafe.size > 0;
  }

  /**
   * Upload what was kept, and `files` at their places in the list of names; then have the service
   * start. A failure is in `progress`; call again to resume.
   */
  go(files: Iterable<readonly [place: number, file: File]> = []): Promise<void> {
    for (const [place, file] of files) this.unsafe.set(place, file);
    this.controller = new AbortController();
    this.running = this.run(this.controller);
    return this.running;
  }

  /** Go on with those of `files` that are missing, by their names; returns how many they are. */
  goWith(files: readonly File[]): number {
    const places = new Map(this.missing.map((place) => [this.names[place], place]));
    const found = new Map<number, File>();
    for (const [at, name] of namesOf(files).entries()) {
      const [place, file] = [places.get(name), files[at]];
      if (place !== undefined && file) found.set(place, file);
    }
    if (found.size > 0) void this.go(found);
    return found.size;
  }

  /** Send no more: the service predicts what is in the bucket, and the rest fails. */
  async stop(): Promise<void> {
    this.controller.abort();
    await this.running;
    this.unsafe.clear();
    await kept.dropFiles(this.batch.id);
    try {
      await this.start();
    } catch (error) {
      this.show("paused", asProblem(error, config.value.api));
    }
  }

  private async run(controller: AbortController): Promise<void> {
    try {
      await alone(
        this.batch.id,
        controller.signal,
        () => this.show("elsewhere"),
        () => this.sendAll(controller),
      );
    } catch (error) {
      const stopped = controller.signal.aborted && !this.queue.problem;
      if (!stopped) this.show("paused", asProblem(error, config.value.api));
    }
  }

  /** Throws what stopped all uploads. */
  private async sendAll(controller: AbortController): Promise<void> {
    const { id, files } = this.batch;
    const [known, waiting, over] = await Promise.all([
      kept.find(id),
      kept.waitingOf(id),
      kept.overOf(id),
    ]);
    if (known && known.state !== "uploading") return this.show("given");
    for (const [place, why] of over) {
      if (why) this.queue.failed.set(place, why);
      else this.queue.sent.add(place);
    }
    this.show("uploading");
    await this.queue.run(new Set([...waiting, ...this.unsafe.keys()]), controller);
    if (this.queue.problem) throw this.queue.problem;
    controller.signal.throwIfAborted();

    const { sent, failed } = this.queue;
    this.missing = Array.from({ length: files }, (_, place) => place).filter(
      (place) => !sent.has(place) && !failed.has(place),
    );
    if (this.missing.length > 0) this.show("missing");
    else await this.start();
  }

  /** Read an image and keep it in this browser; returns it if the browser keeps nothing. */
  private async prepare(place: number): Promise<Blob | undefined> {
    const file = this.unsafe.get(place);
    if (!file) return undefined; // It was kept before a reload.
    const image = await this.read(file, place);
    if (this.keeps && (await kept.hold(this.batch.id, place, image))) {
      this.unsafe.delete(place);
      return undefined;
    }
    if (!(await readable(image))) throw new Refusal(UNREADABLE);
    this.keeps = false;
    return image;
  }

  /** The image as it is sent; throws Refusal if that is not possible. */
  private async read(file: File, place: number): Promise<File> {
    const { largest, original } = this.batch;
    const { file: image, refused, converted } = await prepare(file, original);
    if (refused) throw new Refusal(refusalText(refused));
    if (image.size > 0 && image.size <= largest) {
      if (converted) this.converted.set(place, converted);
      return image;
    }
    if (!(await readable(image))) throw new Refusal(UNREADABLE);
    const fault = image.size === 0 ? "The file is empty." : `The file has ${bytes(image.size)}.`;
    throw new Refusal(`${fault} The limit is 1 byte to ${bytes(largest)}.`);
  }

  private async send(
    place: number,
    unkept: Blob | undefined,
    signal: AbortSignal,
  ): Promise<boolean> {
    const { id } = this.batch;
    const image = unkept ?? (await kept.held(id, place));
    if (!image) return false;
    const thumbnail = !unkept && place < MAX_THUMBNAILS ? await thumbnailOf(image) : null;
    if (thumbnail) await kept.holdThumbnail(id, this.nameOf(place), thumbnail);
    await deliver(image, place, this.forms, signal);
    await this.settle(place);
    return true;
  }

  /** A file is uploaded, or `why` it cannot be: its bytes are of no more use. */
  private async settle(place: number, why = ""): Promise<void> {
    await kept.settle(this.batch.id, place, why);
    this.unsafe.delete(place);
  }

  private nameOf(place: number): string {
    return this.names[place] ?? `File ${place + 1}`;
  }

  /** Tell the service that no more files come from here. */
  private async start(): Promise<void> {
    const { id } = this.batch;
    await retry(() =>
      ask(api().POST("/batches/{batch}/start", { params: { path: { batch: id } } })),
    );
    await kept.update(id, { state: "given", refused: this.refused() });
    await kept.dropFiles(id);
    this.show("given");
  }

  // --- progress ----------------------------------------------------------------------------------

  private show(phase: Phase, problem?: Problem): void {
    this.phase = phase;
    this.problem = problem;
    this.queue.reportNow();
  }

  private publish(): void {
    this.progress.value = this.view();
    guard();
  }

  private refused(): kept.Refused[] {
    return [...this.queue.failed].map(([place, why]) => ({ name: this.nameOf(place), why }));
  }

  private view(): Progress {
    return {
      phase: this.phase,
      sent: this.queue.sent.size,
      unsafe: this.unsafe.size,
      keeps: this.keeps,
      refused: this.refused(),
      converted: [...this.converted.values()],
      missing: this.phase === "missing" ? this.missing.map((place) => this.nameOf(place)) : [],
      problem: this.problem,
    };
  }
}

/** Do `work` while no other tab of this browser does the same; call `wait` before waiting. */
async function alone(
  batch: string,
  signal: AbortSignal,
  wait: () => void,
  work: () => Promise<void>,
): Promise<void> {
  const { locks } = navigator;
  if (!locks) return work(); // Browsers have none on an address without HTTPS.
  const name = `batch ${batch}`;
  const free = await locks.request(name, { ifAvailable: true }, async (lock) => {
    if (lock) await work();
    return lock !== null;
  });
  if (free) return;
  wait();
  await locks.request(name, { signal }, work);
}

// --- the uploads of this tab -----------------------------------------------------------------------

const running = new Map<string, Uploads>();

const warn = (event: BeforeUnloadEvent) => event.preventDefault();

/** Have the browser ask before it leaves with images that only this tab has. */
function guard(): void {
  const needed = [...running.values()].some((one) => one.atRisk);
  if (needed) addEventListener("beforeunload", warn);
  else removeEventListener("beforeunload", warn);
}

/** The folder that a person chose, as the title of its batch; null if they chose files. */
function folderOf(files: readonly File[]): string | null {
  const [folder = "", ...below] = files[0] ? pathOf(files[0]).split("/") : [];
  return folder.trim() && below.length > 0 ? folder.slice(0, MAX_TITLE) : null;
}

/** Begin a batch of `files` and their uploads; returns its id, or throws Problem. */
export async function begin(files: readonly File[], original: boolean): Promise<string> {
  const names = namesOf(files);
  const created = await ask(
    api().POST("/batches", { body: { files: names, name: folderOf(files), threshold: null } }),
  );
  const batch: kept.Kept = {
    id: created.id,
    at: Date.now(),
    files: files.length,
    state: "uploading",
    original,
    largest: created.uploads.max_bytes,
    refused: [],
  };
  const uploads = new Uploads(batch, names, await kept.begun(batch, names));
  running.set(batch.id, uploads);
  void uploads.go(files.entries());
  return batch.id;
}

/** The uploads of a batch: those of this tab, or those that an earlier one left, which resume. */
export async function uploadsOf(id: string): Promise<Uploads | undefined> {
  const batch = running.has(id) ? undefined : await kept.find(id);
  const names = batch?.state === "uploading" ? await kept.namesIn(id) : undefined;
  const here = running.get(id);
  if (here || !batch || !names) return here;
  const uploads = new Uploads(batch, names);
  running.set(id, uploads);
  void uploads.go();
  return uploads;
}
