/** The forms of a batch's files: fetched a page at a time when they are needed, and again in time. */
import { api, ask, type Schemas } from "../../api/client";
import { Problem } from "../../api/problem";
import { patient } from "./patient";

type Page = Schemas["BatchForms"];
type Form = Schemas["BatchForm"];

/** Forms in one page (`PAGE` in `clickbait/batches.py`). */
const PAGE = 100;

/** Of the forms' life, in milliseconds: an upload that begins has this long to arrive. */
const MARGIN_MS = 60_000;

/** Pages that are held: uploads run through them in order, with a few left behind. */
const HELD = 3;

interface Fetched {
  items: Form[];
  /** When its forms are too old to begin with. */
  until: number;
}

export class Forms {
  private readonly pages = new Map<number, Promise<Fetched>>();
  /** Of the pages behind the first, as far as they are known. */
  private readonly cursors: string[] = [];

  constructor(private readonly batch: string) {}

  /** The form of the file at `place` in the list of names; throws Problem. */
  async of(place: number, signal?: AbortSignal): Promise<Form> {
    const number = Math.floor(place / PAGE);
    const { items } = await this.page(number, signal);
    const form = items[place % PAGE];
    if (!form) throw new Problem("No form to upload with", `File ${place + 1} has none.`, -1);
    return form;
  }

  /** Have the forms of the page with `place` fetched anew: S3 took one of them for too old. */
  forget(place: number): void {
    this.pages.delete(Math.floor(place / PAGE));
  }

  private async page(number: number, signal?: AbortSignal): Promise<Fetched> {
    const held = this.pages.get(number);
    const page = await held;
    if (page && page.until > Date.now()) return page;
    // Whoever comes first fetches; the others wait for the same answer.
    if (this.pages.get(number) === held) {
      const fetching = this.fetch(number, signal);
      this.pages.delete(number);
      this.pages.set(number, fetching);
      for (const [oldest] of this.pages) if (this.pages.size > HELD) this.pages.delete(oldest);
      fetching.catch(() => this.pages.delete(number));
    }
    return this.pages.get(number) ?? this.page(number, signal);
  }

  private async fetch(number: number, signal?: AbortSignal): Promise<Fetched> {
    // A page's address is in the page before it.
    for (let known = this.cursors.length; known < number; known++) await this.get(known, signal);
    const asked = Date.now();
    const page = await this.get(number, signal);
    return { items: page.items, until: asked + 1000 * page.expires_in - MARGIN_MS };
  }

  private async get(number: number, signal?: AbortSignal): Promise<Page> {
    const cursor = number === 0 ? {} : { cursor: this.cursors[number - 1] ?? "" };
    const page = await patient(
      () =>
        ask(
          api().GET("/batches/{batch}/uploads", {
            params: { path: { batch: this.batch }, query: cursor },
            ...(signal ? { signal } : {}),
          }),
        ),
      signal,
    );
    if (page.next !== null) this.cursors[number] = page.next;
    return page;
  }
}
