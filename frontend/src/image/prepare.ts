/** A file as it is sent: shrunk where that saves time, else as it is. */
import type { Shrunk } from "./shrink.worker";
import { HEAD, isAnimated, type Size, worthShrinking } from "./size";

export interface Prepared {
  /** What is sent, under the original's name. */
  file: File;
  shrunk: boolean;
  /** Of the original; null where this browser did not look, or cannot. */
  original: Size | null;
  /** Of what is sent; null where it is the original. */
  size: Size | null;
}

type Answer = { id: number; shrunk?: Shrunk; error?: string };

/** One more than that of the page: a photograph takes memory, and decoding is spread as it is. */
const WORKERS = Math.max(1, Math.min(3, (navigator.hardwareConcurrency ?? 2) - 1));

const waiting = new Map<
  number,
  { resolve: (made: Shrunk) => void; reject: (why: Error) => void }
>();
const workers: Worker[] = [];
let broken = false;
let last = 0;

function shrink(file: File): Promise<Shrunk> {
  if (broken) return Promise.reject(new Error("no worker"));
  last += 1;
  const id = last;
  const place = id % WORKERS;
  workers[place] ??= start();
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    workers[place]?.postMessage({ id, file });
  });
}

function start(): Worker {
  const worker = new Worker(new URL("./shrink.worker.ts", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }: MessageEvent<Answer>) => {
    const waiter = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.shrunk) waiter?.resolve(data.shrunk);
    else waiter?.reject(new Error(data.error ?? "unknown"));
  };
  // A worker that cannot start answers nobody: whoever waits sends the original.
  worker.onerror = () => {
    broken = true;
    for (const waiter of waiting.values()) waiter.reject(new Error("the worker failed"));
    waiting.clear();
  };
  return worker;
}

/** Have the worker ready before the first image comes. */
export function warmUp(): void {
  workers[1 % WORKERS] ??= start();
}

/**
 * `file` as it is to be sent; never fails: what cannot be shrunk here is sent as it is, for the
 * service says best what is wrong with it.
 */
export async function prepare(file: File, original = false): Promise<Prepared> {
  const asItIs = { file, shrunk: false, original: null, size: null };
  if (original || !worthShrinking(file) || typeof OffscreenCanvas === "undefined") return asItIs;
  try {
    if (isAnimated(new Uint8Array(await file.slice(0, HEAD).arrayBuffer()))) return asItIs;
    const made = await shrink(file);
    if (made.blob.size >= file.size) return { ...asItIs, original: made.original };
    const sent = new File([made.blob], file.name, { type: made.blob.type });
    return { file: sent, shrunk: true, original: made.original, size: made.size };
  } catch {
    return asItIs;
  }
}
