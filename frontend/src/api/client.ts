/** The API, typed by its OpenAPI document; every failure is a Problem. */
import createClient, { type Middleware } from "openapi-fetch";
import { asProblem, isAbort, problemOf } from "./problem";
import type { components, paths } from "./schema";
import { config, refuseToken, token } from "./session";

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

const authorization: Middleware = {
  onRequest({ request, schemaPath }) {
    if (token.value && !isOpen(schemaPath)) {
      request.headers.set("authorization", `Bearer ${token.value}`);
    }
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
    const refusal = reply.response.status === 403 && !OF_A_ROLE.test(problem.detail);
    if (refusal && token.value) refuseToken();
    throw problem;
  }
  return reply.data as NonNullable<R["data"]>;
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
