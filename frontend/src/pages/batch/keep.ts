/**
 * What a reload must not lose: the batches of this browser, and of each the images that are still to
 * be uploaded. Where the browser keeps nothing, every function here says so and none fails.
 */
import { type DBSchema, type IDBPDatabase, openDB } from "idb";

export interface Refused {
  name: string;
  why: string;
}

/** A batch that began in this browser. */
export interface Kept {
  id: string;
  /** When it began: milliseconds since 1970. */
  at: number;
  files: number;
  /** `given`: nothing more comes from this browser. */
  state: "uploading" | "given" | "finished";
  /** Whether images are sent as they are. */
  original: boolean;
  /** Bytes of an image that the service takes. */
  largest: number;
  /** Files that could not be uploaded; known once the uploads are over. */
  refused: Refused[];
  done?: number;
  failed?: number;
}

/** A file of a batch: its place in the list of names. */
type Place = [batch: string, place: number];

interface Shape extends DBSchema {
  batches: { key: string; value: Kept };
  names: { key: string; value: string[] };
  /** Images as they are to be sent. */
  waiting: { key: Place; value: Blob };
  /** Files that are dealt with: empty, or why there was no way. */
  over: { key: Place; value: string };
  thumbnails: { key: [batch: string, name: string]; value: Blob };
}

const DAY_MS = 86_400_000;

/** Days that images wait for somebody to come back to their batch, and that thumbnails are kept. */
const DAYS = 7;

/** Batches that the list goes back to. */
const LISTED = 50;

let opened: Promise<IDBPDatabase<Shape> | null> | undefined;

async function open(): Promise<IDBPDatabase<Shape> | null> {
  try {
    return await openDB<Shape>("batches", 1, {
      upgrade(made) {
        made.createObjectStore("batches", { keyPath: "id" });
        for (const store of ["names", "waiting", "over", "thumbnails"] as const) {
          made.createObjectStore(store);
        }
      },
    });
  } catch {
    return null;
  }
}

/** What `use` makes of the database; `otherwise` where there is none, or it is full. */
async function within<T>(otherwise: T, use: (db: IDBPDatabase<Shape>) => Promise<T>): Promise<T> {
  opened ??= open();
  const db = await opened;
  if (!db) return otherwise;
  try {
    return await use(db);
  } catch {
    return otherwise;
  }
}

/** Everything of a batch in a store whose keys begin with its id. */
const allOf = (batch: string) => IDBKeyRange.bound([batch], [batch, []]);

/** Remember a batch and its names; false where it will not be known after a reload. */
export const begun = (batch: Kept, names: string[]): Promise<boolean> =>
  within(false, async (db) => {
    const change = db.transaction(["batches", "names"], "readwrite");
    await Promise.all([
      change.objectStore("batches").put(batch),
      change.objectStore("names").put(names, batch.id),
      change.done,
    ]);
    return true;
  });

export const find = (batch: string): Promise<Kept | undefined> =>
  within<Kept | undefined>(undefined, (db) => db.get("batches", batch));

export const namesIn = (batch: string): Promise<string[]> =>
  within<string[]>([], async (db) => (await db.get("names", batch)) ?? []);

/** The batches of this browser, newest first. */
export const all = (): Promise<Kept[]> =>
  within<Kept[]>([], async (db) =>
    (await db.getAll("batches")).sort((a, b) => b.at - a.at).slice(0, LISTED),
  );

/** Take in what is new of a batch; of one that did not begin here nothing is kept. */
export const update = (batch: string, change: Partial<Kept>): Promise<void> =>
  within(undefined, async (db) => {
    const { store, done } = db.transaction("batches", "readwrite");
    const before = await store.get(batch);
    if (before) await store.put({ ...before, ...change });
    await done;
  });

// --- files ---------------------------------------------------------------------------------------

/** Have an image wait here for its upload; false where there is no room. */
export const hold = (batch: string, place: number, image: Blob): Promise<boolean> =>
  within(false, async (db) => {
    await db.put("waiting", image, [batch, place]);
    return true;
  });

export const held = (batch: string, place: number): Promise<Blob | undefined> =>
  within<Blob | undefined>(undefined, (db) => db.get("waiting", [batch, place]));

/** A file is dealt with: uploaded, or `why` not. Its bytes go. */
export const settle = (batch: string, place: number, why = ""): Promise<void> =>
  within(undefined, async (db) => {
    const change = db.transaction(["waiting", "over"], "readwrite");
    await Promise.all([
      change.objectStore("waiting").delete([batch, place]),
      change.objectStore("over").put(why, [batch, place]),
      change.done,
    ]);
  });

/** The places of the files that wait here. */
export const waitingOf = (batch: string): Promise<number[]> =>
  within<number[]>([], async (db) =>
    (await db.getAllKeys("waiting", allOf(batch))).map(([, place]) => place),
  );

/** The files that are dealt with, by place: empty, or why there was no way. */
export const overOf = (batch: string): Promise<Map<number, string>> =>
  within(new Map<number, string>(), async (db) => {
    const [places, words] = await Promise.all([
      db.getAllKeys("over", allOf(batch)),
      db.getAll("over", allOf(batch)),
    ]);
    return new Map(places.map(([, place], at) => [place, words[at] ?? ""]));
  });

/** The uploads of a batch are over: its images and names are of no more use. */
export const dropFiles = (batch: string): Promise<void> =>
  within(undefined, async (db) => {
    const change = db.transaction(["waiting", "over", "names"], "readwrite");
    await Promise.all([
      change.objectStore("waiting").delete(allOf(batch)),
      change.objectStore("over").delete(allOf(batch)),
      change.objectStore("names").delete(batch),
      change.done,
    ]);
  });

// --- thumbnails ----------------------------------------------------------------------------------

export const holdThumbnail = (batch: string, name: string, image: Blob): Promise<void> =>
  within(undefined, async (db) => {
    await db.put("thumbnails", image, [batch, name]);
  });

export const thumbnail = (batch: string, name: string): Promise<Blob | undefined> =>
  within<Blob | undefined>(undefined, (db) => db.get("thumbnails", [batch, name]));

// --- forgetting ----------------------------------------------------------------------------------

/** Know nothing of a batch any more; the service goes on with it. */
export const forget = (batch: string): Promise<void> =>
  within(undefined, async (db) => {
    await dropFiles(batch);
    await db.delete("thumbnails", allOf(batch));
    await db.delete("batches", batch);
  });

/** Free what old batches take: of those the list still has, all but their line in it. */
export const sweep = (now = Date.now()): Promise<void> =>
  within(undefined, async (db) => {
    const batches = (await db.getAll("batches")).sort((a, b) => b.at - a.at);
    for (const [place, { id, at, state }] of batches.entries()) {
      const old = now - at > DAYS * DAY_MS;
      if (place >= LISTED) await forget(id);
      else if (old || state === "finished") await dropFiles(id);
      if (!old) continue;
      await db.delete("thumbnails", allOf(id));
      if (state === "uploading") await update(id, { state: "given" });
    }
  });
