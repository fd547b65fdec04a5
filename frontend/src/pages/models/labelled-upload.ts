/** Labelled images on their way to the bucket: thousands, each accounted for. */
import { type Signal, signal } from "@preact/signals";
import type { Schemas } from "../../api/client";
import { MAX_NAME, type Uploadable } from "../../api/limits";
import { asProblem, type Problem } from "../../api/problem";
import { bytes } from "../../format";
import { type post, uploadable } from "../../upload/bucket";
import { type Label, type Placed, sorted } from "../../upload/folders";
import { FormPool } from "../../upload/form-pool";
import { type LeftOut, pathOf } from "../../upload/names";
import { deliver, UploadQueue } from "../../upload/queue";

/** Files that are listed by name; the others are only counted. */
export const NAMED = 20;

/** The label that an image's folders give; null if they give none. */
export interface Kind {
  label: Label | null;
  exam: boolean;
}

export interface Group extends Kind {
  images: number;
  sent: number;
}

export interface Progress {
  /** `ready`: not begun. `paused`: by its user, or by a `problem`. `done`: no image is left. */
  phase: "ready" | "running" | "paused" | "done";
  /** Images to send, and their bytes, without those left out. */
  images: number;
  bytes: number;
  sent: number;
  sentBytes: number;
  failed: number;
  leftOut: number;
  /** The images by kind, without those left out. */
  groups: readonly Group[];
  /** The first NAMED of those that failed, and of those left out, with the reasons. */
  failures: readonly LeftOut[];
  outside: readonly LeftOut[];
  /** Images a second since the upload last began; null before the first. */
  rate: number | null;
  /** Why the upload stopped, unless its user paused it. */
  problem: Problem | null;
}

export interface Services {
  /** A signed form for each name, in their order, for images of a type and kind. */
  forms: (
    type: Uploadable,
    names: readonly string[],
    kind: Kind,
  ) => Promise<Schemas["UploadForms"]>;
  send: typeof post;
}

/**
 * One upload of `files` at full size, labelled by their folders if these tell a label. Unlike images
 * that are only classified, they are not shrunk: training scales them just as serving does, and
 * originals stay right if the model's input size changes.
 */
export class LabelledUpload {
  readonly progress: Signal<Progress>;
  /** Folders that tell no label, see `sorted`. */
  readonly folders: ReturnType<typeof sorted>["others"];
  /** Whether folders tell the labels. */
  readonly labelled: boolean;
  private readonly placed: readonly Placed[];
  private readonly queue: UploadQueue;
  private readonly pools = new Map<string, FormPool>();
  private readonly leftOut = new Map<number, string>();
  private phase: Progress["phase"] = "ready";
  private problem: Problem | null = null;
  private controller: AbortController | null = null;
  private measured = false;
  private began = { at: 0, sent: 0 };

  constructor(
    files: readonly File[],
    private readonly services: Services,
    /** Files that the browser could not read. */
    private readonly lost: readonly LeftOut[] = [],
  ) {
    const { placed, labelled, others } = sorted(files);
    this.placed = placed;
    this.labelled = labelled;
    this.folders = others;
    for (const [place, { file, why }] of placed.entries()) {
      if (why) {
        this.leftOut.set(place, why);
      } else if (!uploadable(file.type)) {
        this.leftOut.set(place, `${file.type || "Unknown type"}: not a JPEG, PNG or WebP image`);
      } else if (file.size === 0) {
        this.leftOut.set(place, "Empty");
      }
    }
    this.queue = new UploadQueue({ send: (place, _, signal) => this.send(place, signal) }, () =>
      this.publish(),
    );
    this.progress = signal(this.view());
  }

  /** Send all that wait; returns when none does, or when the upload is paused. Never throws. */
  async run(): Promise<void> {
    if (this.controller) return;
    this.controller = new AbortController();
    this.phase = "running";
    this.problem = null;
    this.began = { at: performance.now(), sent: this.queue.sent.size };
    this.publish();
    try {
      await this.measure(this.controller.signal);
      await this.queue.run(this.waiting(), this.controller);
      this.problem = this.queue.problem ?? null;
    } catch (error) {
      if (!this.controller.signal.aborted) this.problem = asProblem(error, "the service");
    }
    this.controller = null;
    this.phase = this.waiting().length > 0 ? "paused" : "done";
    this.queue.reportNow();
  }

  /** Stop; images under way are given up, and wait. */
  pause(): void {
    this.controller?.abort();
  }

  /** Try once more what failed. */
  retry(): Promise<void> {
    this.queue.failed.clear();
    return this.run();
  }

  /** Leave out what is too large before anything is sent: the first forms carry the limit. */
  private async measure(signal: AbortSignal): Promise<void> {
    const [first] = this.waiting();
    if (this.measured || first === undefined) return;
    const most = await this.pool(first).limit(first, signal);
    this.measured = true;
    for (const place of this.waiting()) {
      const { size } = this.file(place);
      if (size > most) {
        this.leftOut.set(place, `${bytes(size)}: the limit is ${bytes(most)}`);
      }
    }
  }

  private async send(place: number, signal: AbortSignal): Promise<boolean> {
    await deliver(this.file(place), place, this.pool(place), signal, this.services.send);
    return true;
  }

  private file(place: number): File {
    return this.placed[place]!.file;
  }

  private waiting(): number[] {
    const { sent, failed } = this.queue;
    return [...this.placed.keys()].filter(
      (place) => !sent.has(place) && !failed.has(place) && !this.leftOut.has(place),
    );
  }

  private pool(place: number): FormPool {
    const type = this.file(place).type as Uploadable;
    const { label, exam } = this.placed[place]!;
    const key = this.poolKey(place);
    let pool = this.pools.get(key);
    if (!pool) {
      pool = new FormPool(
        (places) =>
          this.services.forms(
            type,
            places.map((at) => this.file(at).name.slice(-MAX_NAME)),
            { label, exam },
          ),
        () => this.waiting().filter((at) => this.poolKey(at) === key),
      );
      this.pools.set(key, pool);
    }
    return pool;
  }

  /** A form is for one type and one folder of the bucket. */
  private poolKey(place: number): string {
    const { file, label, exam } = this.placed[place]!;
    return `${file.type} ${label} ${exam}`;
  }

  private publish(): void {
    this.progress.value = this.view();
  }

  private view(): Progress {
    const { sent, failed } = this.queue;
    const size = (places: Iterable<number>) =>
      [...places].reduce((sum, place) => sum + this.file(place).size, 0);
    const seconds = (performance.now() - this.began.at) / 1000;
    const sentNow = sent.size - this.began.sent;
    return {
      phase: this.phase,
      images: this.placed.length - this.leftOut.size,
      bytes: size(this.placed.keys()) - size(this.leftOut.keys()),
      sent: sent.size,
      sentBytes: size(sent),
      failed: failed.size,
      leftOut: this.leftOut.size + this.lost.length,
      groups: this.groups(),
      failures: this.named(failed),
      outside: [...this.lost, ...this.named(this.leftOut)].slice(0, NAMED),
      rate: sentNow > 0 ? sentNow / seconds : null,
      problem: this.problem,
    };
  }

  private groups(): Group[] {
    const groups = new Map<string, Group>();
    for (const [place, { label, exam }] of this.placed.entries()) {
      if (this.leftOut.has(place)) continue;
      const key = `${exam} ${label}`;
      const group = groups.get(key) ?? { label, exam, images: 0, sent: 0 };
      group.images += 1;
      if (this.queue.sent.has(place)) group.sent += 1;
      groups.set(key, group);
    }
    return [...groups.entries()].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
  }

  private named(reasons: ReadonlyMap<number, string>): LeftOut[] {
    return [...reasons]
      .slice(0, NAMED)
      .map(([place, why]) => ({ name: pathOf(this.file(place)), why }));
  }
}
