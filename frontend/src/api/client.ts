/** The API, typed by its OpenAPI document; every failure is a Problem. */
import createClient, { type Middleware } from "openapi-fetch";
import { asProblem, isAbort, Problem, problemOf } from "./problem";
import type { components, paths } from "./schema";
import { config, keepToken, member, refuseToken, token } from "./session";

export type Schemas = components["schemas"];

/** Routes without a token: without the header, their requests need no preflight. */
const OPEN = new Set([
  "/",
  "/status",
  "/system-check",
  "/model-info",
  "/predict",
  "/predict-batch",
]);

const PREDICTIONS = new Set(["/predict", "/predict-batch"]);

/** True for a route that takes requests without a token. */
const isOpen = (path: string): boolean =>
  OPEN.has(path) && !(config.value.predictions === "keys" && PREDICTIONS.has(path));

/** How the service names the role of a key that may not do something: the key itself is good. */
const OF_A_ROLE = /has the role/;

/** Whether the service refuses a token itself, and not what it was used for. */
const refusesToken = ({ status, detail }: Problem): boolean =>
  status === 403 && !OF_A_ROLE.test(detail);

/** In place of a request that lacks its token. The service never calls its own answer that. */
const UNSENT = "Not signed in";
const unsent = (): Response => Response.json({ title: UNSENT }, { status: 401 });

/** Whether a failed request was never sent, because nobody was signed in. */
export const isUnsent = (problem: Problem): boolean => problem.title === UNSENT;

const authorization: Middleware = {
  onRequest({ request, schemaPath }) {
    if (isOpen(schemaPath) || request.headers.has("authorization")) return request;
    if (!member.value) return unsent();
    if (token.value) request.headers.set("authorization", `Bearer ${token.value}`);
    return request;
  },
};

let cached: { at: string; client: ReturnType<typeof createClient<paths>> } | null = null;

/** The client of the API in the configuration: `await ask(api().GET("/status"))`. */
export function api() {
  if (cached?.at !== config.value.api) {
    const client = createClient<paths>({ baseUrl: config.value.api });
    client.use(authorization);
    cached = { at: config.value.api, client };
  }
  return cached.client;
}

interface Reply {
  data?: unknown;
  error?: unknown;
  response: Response;
}

/** The body of a response; throws Problem, or AbortError if the request was aborted. */
export async function ask<R extends Reply>(request: Promise<R>): Promise<NonNullable<R["data"]>> {
  let reply: R;
  try {
    reply = await request;
  } catch (error) {
    if (isAbort(error)) throw error;
    throw asProblem(error, config.value.api);
  }
  if (!reply.response.ok) {
    const problem = problemOf(reply.error, reply.response);
    if (refusesToken(problem) && token.value) refuseToken();
    throw problem;
  }
  return reply.data as NonNullable<R["data"]>;
}

/** Sign in with a token or a key; returns false if the service refuses it. Throws Problem. */
export async function signIn(given: string, remember: boolean): Promise<boolean> {
  const authorization = `Bearer ${given}`;
  try {
    await ask(
      api().GET("/promotions", { params: { query: { limit: 1 } }, headers: { authorization } }),
    );
  } catch (error) {
    if (!(error instanceof Problem) || error.passing) throw error;
    if (refusesToken(error)) return false;
    // The token is good, and only this route is not for it, or is not there.
  }
  keepToken(given, remember);
  return true;
}

/** Files and texts as a form, for a `body` of multipart/form-data. */
export function form(fields: Record<string, string | File | File[] | undefined>): FormData {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined) data.append(name, one);
    }
  }
  return data;
}

/** No serialiser: the browser encodes a form itself. */
export const asForm = { bodySerializer: (body: unknown) => body as FormData } as const;
