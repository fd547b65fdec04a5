/** The images in front of the reviewer, and what was done, so that each step can be undone. */
import { signal } from "@preact/signals";
import type { Label, Named } from "../../store/decisions";

/** The label that was chosen, or null for "not now". */
export type Choice = Label | null;

export interface Act<T extends Named> {
  images: readonly T[];
  choice: Choice;
}

/** Where labels go; `decide(images, null)` takes them back. */
interface Decides {
  decide(images: readonly Named[], label: Label | null): void;
}

export class Queue<T extends Named> {
  /** Images that wait, the next one first. */
  readonly waiting = signal<readonly T[]>([]);
  readonly acts = signal<readonly Act<T>[]>([]);
  /** Every image that was ever in `waiting`. */
  private readonly known = new Set<string>();

  constructor(private readonly decisions: Decides) {}

  /** Append the images that are new. The service may list one that was decided a moment ago. */
  add(images: readonly T[]): void {
    const fresh = images.filter(({ id }) => !this.known.has(id));
    for (const { id } of fresh) this.known.add(id);
    if (fresh.length > 0) this.waiting.value = [...this.waiting.value, ...fresh];
  }

  /** Begin again with another filter or order. What was done stays, and can be undone. */
  restart(): void {
    this.waiting.value = [];
    this.known.clear();
    for (const { images } of this.acts.value) for (const { id } of images) this.known.add(id);
  }

  /** Label or skip images; those that are not waiting are left alone. Returns how many it took. */
  act(ids: string | Iterable<string>, choice: Choice): number {
    const wanted = new Set(typeof ids === "string" ? [ids] : ids);
    const images = this.waiting.value.filter(({ id }) => wanted.has(id));
    if (images.length === 0) return 0;
    this.waiting.value = this.waiting.value.filter(({ id }) => !wanted.has(id));
    this.acts.value = [...this.acts.value, { images, choice }];
    if (choice) this.decisions.decide(images, choice);
    return images.length;
  }

  /** Take the last act back: its images are the next again. */
  undo(): Act<T> | undefined {
    const last = this.acts.value.at(-1);
    if (!last) return undefined;
    this.acts.value = this.acts.value.slice(0, -1);
    const back = new Set(last.images.map(({ id }) => id));
    this.waiting.value = [...last.images, ...this.waiting.value.filter(({ id }) => !back.has(id))];
    for (const { id } of last.images) this.known.add(id);
    if (last.choice) this.decisions.decide(last.images, null);
    return last;
  }

  /** Put all skipped images back, at the end. */
  showSkipped(): void {
    const back = this.acts.value.filter(({ choice }) => choice === null);
    this.acts.value = this.acts.value.filter(({ choice }) => choice !== null);
    this.waiting.value = [...this.waiting.value, ...back.flatMap(({ images }) => images)];
  }

  get skipped(): number {
    return this.count((choice) => choice === null);
  }

  get reviewed(): number {
    return this.count((choice) => choice !== null);
  }

  private count(counts: (choice: Choice) => boolean): number {
    return this.acts.value
      .filter(({ choice }) => counts(choice))
      .reduce((sum, { images }) => sum + images.length, 0);
  }
}

/** The images from `anchor` to `to` in the order shown: what a shift-click selects. */
export function between(images: readonly Named[], anchor: string | null, to: string): string[] {
  const place = (id: string) => images.findIndex((one) => one.id === id);
  const end = place(to);
  const start = anchor === null ? end : place(anchor);
  if (start < 0) return [to]; // The anchor has left the queue.
  return images.slice(Math.min(start, end), Math.max(start, end) + 1).map(({ id }) => id);
}
