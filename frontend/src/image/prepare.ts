/** A file as it is sent: resized if that saves time, else unchanged. */
import type { Shrunk } from "./shrink.worker";
import { HEAD, isAnimated, type Size, worthShrinking } from "./size";

export interface Prepared {
  /** The file to send, under the original's name. */
  file: File;
  shrunk: boolean;
  /** Of the original; null if this browser did not read it, or cannot. */
  original: Size | null;
  /** Of the file to send; null if it is the original. */
  size: Size | null;
}

type Reply = { id: number; shrunk?: Shrunk; error?: string };

/** One core is left to the page; three at most, because a decoded photograph takes memory. */
const WORKERS = Math.max(1, Math.min(3, (navigator.hardwareConcurrency ?? 2) - 1));

const waiting = new Map<
  number,
  { resolve: (shrunk: Shrunk) => void; reject: (why: Error) => void }
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
  worker.onmessage = ({ data }: MessageEvent<Reply>) => {
    const waiter = waiting.get(data.id);
    waiting.delete(data.id);
    if (data.shrunk) waiter?.resolve(data.shrunk);
    else waiter?.reject(new Error(data.error ?? "unknown"));
  };
  // A worker that cannot start never replies: all waiting files are sent unchanged.
  worker.onerror = () => {
    broken = true;
    for (const waiter of waiting.values()) waiter.reject(new Error("the worker failed"));
    waiting.clear();
  };
  return worker;
}

/** Start the worker before the first image comes. */
export function warmUp(): void {
  workers[1 % WORKERS] ??= start();
}

/**
 * The file to send for `file`. Never fails: a file that cannot be resized here is sent unchanged,
 * because the service explains best what is wrong with it.
 */
export async function prepare(file: File, original = false): Promise<Prepared> {
  const unchanged = { file, shrunk: false, original: null, size: null };
  if (original || !worthShrinking(file) || typeof OffscreenCanvas === "undefined") return unchanged;
  try {
    if (isAnimated(new Uint8Array(await file.slice(0, HEAD).arrayBuffer()))) return unchanged;
    const result = await shrink(file);
    if (result.blob.size >= file.size) return { ...unchanged, original: result.original };
    const sent = new File([result.blob], file.name, { type: result.blob.type });
    return { file: sent, shrunk: true, original: result.original, size: result.size };
  } catch {
    return unchanged;
  }
}
