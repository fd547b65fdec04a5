/** A service and a bucket that tests of batches reach through `fetch`. */
import { vi } from "vitest";

export const API = "http://api.test";

interface Begun {
  names: string[];
  /** The files that arrived, by place, and how often each did. */
  arrived: Map<number, { bytes: string; times: number }>;
  started: number;
}

export class Service {
  readonly batches = new Map<string, Begun>();
  /** The bucket's response to an upload; null accepts it. */
  bucket: (place: number) => Response | null | Promise<never> = () => null;
  /** The API's response; null lets it do its work. */
  api: (method: string, path: string) => Response | null = () => null;
  pagesFetched: string[] = [];
  expiresIn = 300;

  async fetch(input: Request | string, init?: RequestInit): Promise<Response> {
    const request = input instanceof Request ? input : new Request(input, init);
    init?.signal?.throwIfAborted();
    const { origin, pathname, searchParams } = new URL(request.url);
    if (origin !== API) {
      return Promise.race([this.upload(init?.body as FormData), aborted(init?.signal)]);
    }
    return this.api(request.method, pathname) ?? this.answer(request, pathname, searchParams);
  }

  private async upload(form: FormData): Promise<Response> {
    const [batch = "", place = ""] = String(form.get("key")).split("/");
    const refused = await this.bucket(Number(place));
    if (refused) return refused;
    const bytes = await (form.get("file") as Blob).text();
    const { arrived } = this.batches.get(batch) as Begun;
    const times = (arrived.get(Number(place))?.times ?? 0) + 1;
    arrived.set(Number(place), { bytes, times });
    return new Response(null, { status: 204 });
  }

  private async answer(request: Request, path: string, query: URLSearchParams): Promise<Response> {
    if (path === "/batches") {
      const { files } = (await request.json()) as { files: string[] };
      const id = `batch-${this.batches.size + 1}`;
      this.batches.set(id, { names: files, arrived: new Map(), started: 0 });
      return Response.json({ id, uploads: this.forms(id, 0) }, { status: 201 });
    }
    const [, , id = "", what] = path.split("/");
    const batch = this.batches.get(id) as Begun;
    if (what === "start") {
      batch.started += 1;
      return Response.json({ id });
    }
    this.pagesFetched.push(query.get("cursor") ?? "first");
    return Response.json(this.forms(id, Number(query.get("cursor") ?? 0)));
  }

  private forms(id: string, start: number) {
    const { names } = this.batches.get(id) as Begun;
    const items = names.slice(start, start + 100).map((file, at) => ({
      file,
      key: `${id}/${start + at}`,
      url: "http://bucket.test/",
      fields: { key: `${id}/${start + at}` },
    }));
    const next = start + 100 < names.length ? String(start + 100) : null;
    return { items, count: items.length, next, expires_in: this.expiresIn, max_bytes: 100 };
  }
}

const aborted = (signal: AbortSignal | null | undefined) =>
  new Promise<never>((_, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason));
  });

/** A new tab of the same browser: fresh modules, and the same IndexedDB. */
export async function openTab(service: Service) {
  vi.stubGlobal("fetch", service.fetch.bind(service));
  vi.stubGlobal("navigator", {});
  vi.resetModules();
  const { config } = await import("../../src/api/session");
  config.value = { api: API, access: "public", predictions: "open", stack: "test" };
  return import("../../src/pages/batch/uploads");
}

/** A refusal by S3. */
export const refusal = (status: number, message: string) =>
  new Response(`<Error><Message>${message}</Message></Error>`, { status });
