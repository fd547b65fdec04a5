/**
 * The session of Classify in IndexedDB, so that a reload loses nothing. Each tab has its own: the
 * keys of its images are in the tab's session storage. If the browser keeps nothing, nothing fails.
 */
import { batch, effect } from "@preact/signals";
import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import { adopt, type Classified, classified, KEPT } from "./classified";

type Kept = Omit<Classified, "id" | "picture" | "problem" | "source"> & {
  /** Not every browser gives a File its name back. */
  name: string;
  source: Blob;
  /** When it was kept: milliseconds since 1970. */
  at: number;
};

interface Shape extends DBSchema {
  images: { key: string; value: Kept };
}

/** Images of tabs that were closed stay no longer than this. */
const DAY_MS = 86_400_000;

let opened: Promise<IDBPDatabase<Shape> | null> | undefined;
let following = false;
const keys = new Map<number, string>();

async function open(): Promise<IDBPDatabase<Shape> | null> {
  try {
    return await openDB<Shape>("session", 1, {
      upgrade: (db) => void db.createObjectStore("images"),
    });
  } catch {
    return null;
  }
}

/** Do `use` with the database; does nothing if there is none, or it is full. */
async function within<T>(use: (db: IDBPDatabase<Shape>) => Promise<T>): Promise<T | undefined> {
  opened ??= open();
  const db = await opened;
  return db ? use(db).catch(() => undefined) : undefined;
}

const keyOf = (id: number): string => {
  const key = keys.get(id) ?? `${Date.now()}-${Math.random().toString(36).slice(2)}`;
  keys.set(id, key);
  return key;
};

/** What of an image is kept. One without a result is sent again after a reload. */
function keptOf({
  source,
  video,
  original,
  prepared,
  answer,
  flat,
  took,
  corrected,
}: Classified): Kept {
  const result = answer && { prepared, answer, flat, took, corrected };
  return { source, name: source.name, video, original, at: Date.now(), ...result } as Kept;
}

const asBefore = ({ source, name, at: _, ...one }: Kept) => ({
  ...one,
  source: new File([source], name, { type: source.type }),
});

/** Keep the session from now on: what is new or changed, in the order of the page. */
export function follow(): void {
  if (following) return;
  following = true;
  let before: readonly Classified[] = [];
  effect(() => {
    const all = classified.value;
    const known = new Set(before);
    const present = new Set(all.map(({ id }) => id));
    for (const one of all.filter((each) => !known.has(each))) {
      void within((db) => db.put("images", keptOf(one), keyOf(one.id)));
    }
    for (const { id } of before.filter((each) => !present.has(each.id))) {
      void within((db) => db.delete("images", keyOf(id)));
    }
    before = all;
    sessionStorage.setItem(KEPT, JSON.stringify(all.map(({ id }) => keyOf(id))));
  });
  void within(sweep);
}

/** Delete what was kept more than a day ago. */
async function sweep(db: IDBPDatabase<Shape>): Promise<void> {
  for (const key of await db.getAllKeys("images")) {
    const kept = await db.get("images", key);
    if (kept && Date.now() - kept.at > DAY_MS) await db.delete("images", key);
  }
}

/** Show the images from before the reload again, and keep them on. */
export async function restore(): Promise<void> {
  const listed: unknown = JSON.parse(sessionStorage.getItem(KEPT) ?? "[]");
  const names = (Array.isArray(listed) ? listed : []).map(String);
  const found = await within((db) => Promise.all(names.map((name) => db.get("images", name))));
  const pairs = names.flatMap((name, at) => {
    const kept = found?.[at];
    return kept ? [{ name, kept }] : [];
  });
  batch(() => {
    const adopted = adopt(pairs.map(({ kept }) => asBefore(kept)));
    for (const [at, { id }] of adopted.entries()) keys.set(id, pairs[at]?.name ?? keyOf(id));
  });
  follow();
}
