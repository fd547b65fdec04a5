/**
 * Kept in IndexedDB, so that a reload loses nothing: the batches of this browser, and their images
 * until they are uploaded. If the browser keeps nothing, every function returns that; none throws.
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
  /** Whether images are sent at full size. */
  original: boolean;
  /** Bytes of an image at most. */
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
  /** Images as they will be sent. */
  waiting: { key: Place; value: Blob };
  /** Files that are done: empty if uploaded, else why they cannot be. */
  over: { key: Place; value: string };
  thumbnails: { key: [batch: string, name: string]; value: Blob };
}

const DAY_MS = 86_400_000;

/** Days that unsent images and thumbnails are kept. */
const DAYS = 7;

/** Batches in the list. */
const LISTED = 50;

let opened: Promise<IDBPDatabase<Shape> | null> | undefined;

async function open(): Promise<IDBPDatabase<Shape> | null> {
  try {
    return await openDB<Shape>("batches", 1, {
      upgrade(db) {
        db.createObjectStore("batches", { keyPath: "id" });
        for (const store of ["names", "waiting", "over", "thumbnails"] as const) {
          db.createObjectStore(store);
        }
      },
    });
  } catch {
    return null;
  }
}

/** The result of `use`; `otherwise` if there is no database, or it is full. */
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

/** Keep a batch and its names; false if a reload will forget them. */
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

/** Change a batch; does nothing for one that did not begin in this browser. */
export const update = (batch: string, change: Partial<Kept>): Promise<void> =>
  within(undefined, async (db) => {
    const { store, done } = db.transaction("batches", "readwrite");
    const before = await store.get(batch);
    if (before) await store.put({ ...before, ...change });
    await done;
  });

// --- files ---------------------------------------------------------------------------------------

/** Keep an image until it is uploaded; false if there is no room. */
export const hold = (batch: string, place: number, image: Blob): Promise<boolean> =>
  within(false, async (db) => {
    await db.put("waiting", image, [batch, place]);
    return true;
  });

export const held = (batch: string, place: number): Promise<Blob | undefined> =>
  within<Blob | undefined>(undefined, (db) => db.get("waiting", [batch, place]));

/** Mark a file as done: uploaded, or `why` not. Its bytes are deleted. */
export const settle = (batch: string, place: number, why = ""): Promise<void> =>
  within(undefined, async (db) => {
    const change = db.transaction(["waiting", "over"], "readwrite");
    await Promise.all([
      change.objectStore("waiting").delete([batch, place]),
      change.objectStore("over").put(why, [batch, place]),
      change.done,
    ]);
  });

/** The places of the files that are kept and not sent. */
export const waitingOf = (batch: string): Promise<number[]> =>
  within<number[]>([], async (db) =>
    (await db.getAllKeys("waiting", allOf(batch))).map(([, place]) => place),
  );

/** The files that are done, by place: empty if uploaded, else why they cannot be. */
export const overOf = (batch: string): Promise<Map<number, string>> =>
  within(new Map<number, string>(), async (db) => {
    const [places, reasons] = await Promise.all([
      db.getAllKeys("over", allOf(batch)),
      db.getAll("over", allOf(batch)),
    ]);
    return new Map(places.map(([, place], at) => [place, reasons[at] ?? ""]));
  });

/** Delete the images and names of a batch whose uploads are over. */
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

/** Delete all that this browser keeps of a batch; the service keeps it. */
export const forget = (batch: string): Promise<void> =>
  within(undefined, async (db) => {
    await dropFiles(batch);
    await db.delete("thumbnails", allOf(batch));
    await db.delete("batches", batch);
  });

/** Free the room of old batches: those in the list keep their line only. */
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
