/** Forms of one content type that fit any image of it: fetched when the last ones are used or old. */
import type { Schemas } from "../api/client";
import { MAX_FORMS } from "../api/limits";
import { Problem } from "../api/problem";
import type { UploadForm } from "./bucket";
import { MARGIN_MS } from "./form-pages";
import type { Forms } from "./queue";
import { retry } from "./retry";

export class FormPool implements Forms {
  private forms: UploadForm[] = [];
  private until = 0;
  private maxBytes = 0;
  private fetching: Promise<void> | null = null;

  /** `fetch` returns `count` forms; `wanted` is how many images are still without one. */
  constructor(
    private readonly fetch: (count: number) => Promise<Schemas["UploadForms"]>,
    private readonly wanted: () => number,
  ) {}

  async of(_place: number, signal: AbortSignal): Promise<UploadForm> {
    for (;;) {
      const form = Date.now() < this.until ? this.forms.pop() : undefined;
      if (form) return form;
      await this.more(signal);
    }
  }

  renew(): void {
    this.until = 0;
  }

  /** Bytes of an image at most. */
  async limit(signal: AbortSignal): Promise<number> {
    await this.more(signal);
    return this.maxBytes;
  }

  /** One request, however many uploads wait for a form. */
  private more(signal: AbortSignal): Promise<void> {
    this.fetching ??= this.refill(signal).finally(() => {
      this.fetching = null;
    });
    return this.fetching;
  }

  private async refill(signal: AbortSignal): Promise<void> {
    const count = Math.min(MAX_FORMS, Math.max(1, this.wanted()));
    const { items, expires_in, max_bytes } = await retry(() => this.fetch(count), signal);
    if (items.length === 0) throw new Problem("No upload form", "The service returned none.", -1);
    this.forms = [...items];
    this.until = Date.now() + Math.max(1_000 * expires_in - MARGIN_MS, 1_000);
    this.maxBytes = max_bytes;
  }
}
