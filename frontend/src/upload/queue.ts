/**
 * The engine of every upload: images are prepared and sent several at a time, each at most once.
 * It pauses, resumes and retries; batches and labelled images say how one image is sent.
 */
import pLimit, { type LimitFunction } from "p-limit";
import { asProblem, Problem } from "../api/problem";
import { post, type UploadForm } from "./bucket";
import { readable, UNREADABLE } from "./names";
import { retry } from "./retry";

/** Images prepared at a time: the workers that shrink them are three at most. */
const PREPARED_AT_ONCE = 4;

/** Images sent at a time: a browser opens six connections to a host. */
const SENT_AT_ONCE = 6;

/** Milliseconds between two reports of progress: nobody reads numbers that change faster. */
const REPORT_MS = 200;

/** S3's status for a form that has expired. */
const EXPIRED = 403;

/** The fault of one image; the others go on. */
export class Refusal extends Error {}

export interface Steps {
  /** Get the image ready. Returns it if only this memory has it: then the next one waits for it. */
  prepare?: (place: number) => Promise<Blob | undefined>;
  /** Send the image; returns false if it is gone. Throws Refusal, or what stops all uploads. */
  send: (place: number, image: Blob | undefined, signal: AbortSignal) => Promise<boolean>;
  /** Called before an image counts as failed. */
  refuse?: (place: number, reason: string) => Promise<void>;
}

/** Images are known by their place in a list that the user of the queue keeps. */
export class UploadQueue {
  readonly sent = new Set<number>();
  /** Places of the images that failed, with the reasons. */
  readonly failed = new Map<number, string>();
  /** Why the last run stopped, unless its user paused it. */
  problem: Problem | undefined;
  private timer: ReturnType<typeof setTimeout> | undefined;

  /** `report` is called when there is progress to show, a few times a second at most. */
  constructor(
    private readonly steps: Steps,
    private readonly report: () => void,
  ) {}

  /**
   * Send the images at `places`; returns when all are done, or all have stopped. Never throws.
   * Aborting `controller` pauses: images under way are given up, and wait for the next run.
   */
  async run(places: Iterable<number>, controller: AbortController): Promise<void> {
    this.problem = undefined;
    const preparing = pLimit(PREPARED_AT_ONCE);
    const sending = pLimit(SENT_AT_ONCE);
    const sends: Promise<void>[] = [];
    const attempt = (limit: LimitFunction, place: number, step: () => Promise<void>) =>
      limit(async () => {
        if (controller.signal.aborted) return;
        await step().catch((error: unknown) => this.fail(place, error, controller));
        this.reportSoon();
      });
    const send = (place: number, image?: Blob) =>
      attempt(sending, place, async () => {
        if (await this.steps.send(place, image, controller.signal)) this.sent.add(place);
      });
    const { prepare } = this.steps;
    const prepareAndSend = (place: number) =>
      attempt(preparing, place, async () => {
        const image = await prepare?.(place);
        const sent = send(place, image);
        if (image) await sent;
        else sends.push(sent);
      });
    await Promise.all([...places].map((place) => (prepare ? prepareAndSend(place) : send(place))));
    await Promise.all(sends);
    this.reportNow();
  }

  reportNow(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.report();
  }

  private reportSoon(): void {
    this.timer ??= setTimeout(() => this.reportNow(), REPORT_MS);
  }

  private async fail(place: number, error: unknown, controller: AbortController): Promise<void> {
    if (error instanceof Refusal) {
      await this.steps.refuse?.(place, error.message);
      this.failed.set(place, error.message);
    } else if (!controller.signal.aborted) {
      this.problem = asProblem(error, "the bucket");
      controller.abort(); // The other images would fail for the same reason.
    }
  }
}

/** A source of signed forms. */
export interface Forms {
  /** The form for the image at `place`; throws Problem. */
  of(place: number, signal: AbortSignal): Promise<UploadForm>;
  /** The bucket says that the form for `place` has expired. */
  renew(place: number): void;
}

/** Send `image` by its form; throws Refusal if this image is at fault, Problem if all would fail. */
export async function deliver(
  image: Blob,
  place: number,
  forms: Forms,
  signal: AbortSignal,
  send: typeof post = post,
): Promise<void> {
  for (const last of [false, true]) {
    const form = await forms.of(place, signal);
    try {
      // Every attempt has the same key: an image that arrived unnoticed is overwritten, not doubled.
      return await retry(() => send(form, image, signal), signal);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // A file that was changed fails as the network does.
      if (error.passing && !(await readable(image))) throw new Refusal(UNREADABLE);
      if (error.passing || error.status < 400 || error.status >= 500) throw error;
      if (error.status !== EXPIRED || last) throw new Refusal(error.detail);
      forms.renew(place);
    }
  }
}
