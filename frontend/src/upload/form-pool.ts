/** Forms for files of one kind, a hundred at a time: each is for one file, whose key keeps its name. */
import type { Schemas } from "../api/client";
import { MAX_FORMS } from "../api/limits";
import { Problem } from "../api/problem";
import type { UploadForm } from "./bucket";
import { MARGIN_MS } from "./form-pages";
import type { Forms } from "./queue";
import { retry } from "./retry";

export class FormPool implements Forms {
  private forms = new Map<number, UploadForm>();
  private until = 0;
  private maxBytes = 0;
  private fetching: Promise<void> | null = null;

  /** `fetch` returns a form for each place, in their order; `waiting` is all that want one. */
  constructor(
    private readonly fetch: (places: readonly number[]) => Promise<Schemas["UploadForms"]>,
    private readonly waiting: () => readonly number[],
  ) {}

  async of(place: number, signal: AbortSignal): Promise<UploadForm> {
    for (;;) {
      const form = Date.now() < this.until ? this.forms.get(place) : undefined;
      if (form) return form;
      await this.more(place, signal);
    }
  }

  renew(): void {
    this.until = 0;
  }

  /** Bytes of an image at most; `place` is one that waits. */
  async limit(place: number, signal: AbortSignal): Promise<number> {
    await this.of(place, signal);
    return this.maxBytes;
  }

  /** One request, however many uploads wait for a form. */
  private more(place: number, signal: AbortSignal): Promise<void> {
    this.fetching ??= this.refill(place, signal).finally(() => {
      this.fetching = null;
    });
    return this.fetching;
  }

  private async refill(place: number, signal: AbortSignal): Promise<void> {
    if (Date.now() >= this.until) this.forms.clear();
    const others = this.waiting().filter((one) => one !== place && !this.forms.has(one));
    const places = [place, ...others].slice(0, MAX_FORMS);
    const { items, expires_in, max_bytes } = await retry(() => this.fetch(places), signal);
    if (items.length < places.length) {
      throw new Problem("No upload form", "The service returned too few forms. Try again.", -1);
    }
    const until = Date.now() + Math.max(1_000 * expires_in - MARGIN_MS, 1_000);
    // The oldest forms decide when all are fetched anew.
    this.until = this.forms.size > 0 ? Math.min(this.until, until) : until;
    for (const [at, one] of places.entries()) this.forms.set(one, items[at] as UploadForm);
    this.maxBytes = max_bytes;
  }
}
