/** A file as it is sent: resized if that saves time, else unchanged. */
import { Problem } from "../api/problem";
import { GONE, GONE_BECAUSE } from "../upload/names";
import { type Format, formatOf, HEAD, isAnimated } from "./format";
import type { Job, Shrunk } from "./shrink.worker";
import { type Size, SMALL_ENOUGH } from "./size";

export interface Prepared {
  /** The file to send, under the original's name. */
  file: File;
  shrunk: boolean;
  /** Of the original; null if this browser did not read it, or cannot. */
  original: Size | null;
  /** Of the file to send; null if it is the original. */
  size: Size | null;
  /** The format that the service does not take, if this browser made a JPEG of it. */
  converted: string | null;
  /** Why the service would refuse the file. */
  refused: Problem | null;
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

function shrink(file: File, whole = false): Promise<Shrunk> {
  if (broken) return Promise.reject(new Error("no worker"));
  last += 1;
  const id = last;
  const place = id % WORKERS;
  workers[place] ??= start();
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    workers[place]?.postMessage({ id, file, whole } satisfies Job);
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

/** Formats that the service does not take, and some browsers decode. */
const FOREIGN: Partial<Record<Format, string>> = { avif: "AVIF", heic: "HEIC" };

export const unreadable = (): Problem => new Problem(GONE, GONE_BECAUSE, 422);

/** Why a file is not sent, in one text. */
export const refusalText = ({ title, detail }: Problem): string => `${title}. ${detail}`;

const undecodable = (name: string) =>
  new Problem(
    `This browser cannot open ${name} images`,
    "Save the image as JPEG or PNG, and choose that file.",
    415,
  );

/**
 * The file to send for `file`, resized unless `original`. Never fails: what cannot be resized here
 * is sent unchanged, because the service explains best what is wrong with it.
 */
export async function prepare(file: File, original = false): Promise<Prepared> {
  const unchanged: Prepared = {
    file,
    shrunk: false,
    original: null,
    size: null,
    converted: null,
    refused: null,
  };
  let head: Uint8Array;
  try {
    // A file that is gone may look empty.
    const start = file.size > 0 ? file.slice(0, HEAD) : file;
    head = new Uint8Array(await start.arrayBuffer());
  } catch {
    return { ...unchanged, refused: unreadable() };
  }
  const format = formatOf(head);
  const foreign = FOREIGN[format] ?? null;
  const worthIt = !original && format !== "other" && file.size > SMALL_ENOUGH;
  if (!foreign && !worthIt) return unchanged;
  try {
    if (typeof OffscreenCanvas === "undefined") throw new Error("no canvas in a worker");
    if (await isAnimated(file, format, head)) return unchanged;
    const result = await shrink(file, original);
    if (!foreign && result.blob.size >= file.size) {
      return { ...unchanged, original: result.original };
    }
    const sent = new File([result.blob], file.name, { type: result.blob.type });
    return {
      file: sent,
      shrunk: !foreign || result.size.width < result.original.width,
      original: result.original,
      size: result.size,
      converted: foreign,
      refused: null,
    };
  } catch {
    return foreign ? { ...unchanged, refused: undecodable(foreign) } : unchanged;
  }
}
