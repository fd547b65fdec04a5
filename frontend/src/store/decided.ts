/** The decisions of this browser, sent to the review queue of the API. */
import { api, ask } from "../api/client";
import { Decisions, type Service, sendWhenPossible } from "./decisions";

const text = (value: unknown): string => (typeof value === "string" ? value : "");

const service: Service = {
  async label(ids, label) {
    const [only] = ids;
    if (only !== undefined && ids.length === 1) {
      const params = { path: { review: only } };
      return [await ask(api().POST("/review/{review}", { params, body: { label } }))];
    }
    const { items } = await ask(api().POST("/review", { body: { ids: [...ids], label } }));
    return items.map(({ id, outcome, problem }) => ({
      id,
      outcome: outcome ?? undefined,
      refused: problem ? text(problem.detail) || text(problem.title) : undefined,
    }));
  },
  async undo(id) {
    await ask(api().POST("/review/{review}/undo", { params: { path: { review: id } } }));
  },
};

/** Null if this browser keeps nothing for the page. */
function storage(): Storage | null {
  try {
    return localStorage;
  } catch {
    return null;
  }
}

export const decisions = new Decisions(service, storage());

sendWhenPossible(decisions);
