/** The forms of a batch: one for each of its files, fetched in pages, and again before they expire. */
import { api, ask, type Schemas } from "../api/client";
import { FORMS_PAGE } from "../api/limits";
import { Problem } from "../api/problem";
import type { Forms } from "./queue";
import { retry } from "./retry";

type Page = Schemas["BatchForms"];
type Form = Schemas["BatchForm"];

/** Milliseconds before the end of a form's life in which no upload begins: images need to travel. */
export const MARGIN_MS = 60_000;

/** Pages in memory: uploads go through them in order, with a few stragglers. */
const PAGES = 3;

interface Fetched {
  items: Form[];
  /** When its forms are too old to begin with: milliseconds since 1970. */
  until: number;
}

export class FormPages implements Forms {
  private readonly pages = new Map<number, Promise<Fetched>>();
  /** Cursors of the pages after the first, as far as they are known. */
  private readonly cursors: string[] = [];

  constructor(private readonly batch: string) {}

  async of(place: number, signal?: AbortSignal): Promise<Form> {
    const { items } = await this.page(Math.floor(place / FORMS_PAGE), signal);
    const form = items[place % FORMS_PAGE];
    if (!form) throw new Problem("No upload form", `File ${place + 1} has none.`, -1);
    return form;
  }

  renew(place: number): void {
    this.pages.delete(Math.floor(place / FORMS_PAGE));
  }

  private async page(number: number, signal?: AbortSignal): Promise<Fetched> {
    const known = this.pages.get(number);
    const page = await known;
    if (page && page.until > Date.now()) return page;
    // The first caller fetches; the others wait for the same page.
    if (this.pages.get(number) === known) {
      const fetching = this.fetch(number, signal);
      this.pages.delete(number);
      this.pages.set(number, fetching);
      for (const [oldest] of this.pages) if (this.pages.size > PAGES) this.pages.delete(oldest);
      fetching.catch(() => this.pages.delete(number));
    }
    return this.pages.get(number) ?? this.page(number, signal);
  }

  private async fetch(number: number, signal?: AbortSignal): Promise<Fetched> {
    // A page's cursor is in the page before it.
    for (let known = this.cursors.length; known < number; known++) await this.get(known, signal);
    const requested = Date.now();
    const page = await this.get(number, signal);
    return { items: page.items, until: requested + 1000 * page.expires_in - MARGIN_MS };
  }

  private async get(number: number, signal?: AbortSignal): Promise<Page> {
    const query = number === 0 ? {} : { cursor: this.cursors[number - 1] ?? "" };
    const page = await retry(
      () =>
        ask(
          api().GET("/batches/{batch}/uploads", {
            params: { path: { batch: this.batch }, query },
            ...(signal ? { signal } : {}),
          }),
        ),
      signal,
    );
    if (page.next !== null) this.cursors[number] = page.next;
    return page;
  }
}
