/** The routes of labelled images: list, edit, changes, undo. */
import { api, ask, type Schemas } from "../../../api/client";
import { asProblem, type Problem } from "../../../api/problem";
import { config } from "../../../api/session";
import type { PageRequest } from "../../../api/use-list";
import { type Filters, queryOf } from "./filters";
import type { Change, Image } from "./image";

/** Images in one page of the list. */
const PAGE = 100;

/** Images in one request that edits them. */
const MAX_IDS = 100;

/** One change of one image, as the audit has it. */
export type Made = Schemas["Change"];

export const listImages = (filters: Filters, cursor: string | null, signal: AbortSignal) =>
  ask(
    api().GET("/dataset/images", {
      params: { query: { ...queryOf(filters), limit: PAGE, ...(cursor ? { cursor } : {}) } },
      signal,
    }),
  );

export const listChanges = (page: PageRequest) => ask(api().GET("/dataset/changes", page));

/** Undo a change; returns the image as it is again, null if it is not described yet. */
export const undoChange = async (change: string): Promise<Image | null> =>
  (await ask(api().POST("/dataset/changes/{change}/undo", { params: { path: { change } } }))).image;

export interface Edited {
  outcomes: Schemas["ImageChanged"][];
  /** Why the rest was not sent; the outcomes are done. */
  problem: Problem | null;
}

/** Edit images in their order, MAX_IDS a request; never throws. */
export async function editImages(ids: readonly string[], change: Change): Promise<Edited> {
  const outcomes: Edited["outcomes"] = [];
  for (let at = 0; at < ids.length; at += MAX_IDS) {
    const body = { ids: ids.slice(at, at + MAX_IDS), ...change };
    try {
      outcomes.push(...(await ask(api().POST("/dataset/images", { body }))).items);
    } catch (error) {
      return { outcomes, problem: asProblem(error, config.value.api) };
    }
  }
  return { outcomes, problem: null };
}
