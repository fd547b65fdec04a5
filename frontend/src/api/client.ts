/** The API, typed by its own OpenAPI document; every failure is a Problem. */
import createClient, { type Middleware } from "openapi-fetch";
import { asProblem, isAbort, problemOf } from "./problem";
import type { components, paths } from "./schema";
import { config, refuseToken, token } from "./session";

export type Schemas = components["schemas"];

/** Routes that take no token: without the header their requests need no preflight. */
const OPEN = new Set([
  "/",
  "/status",
  "/system-check",
  "/model-info",
  "/predict",
  "/predict-batch",
]);

const authorization: Middleware = {
  onRequest({ request, schemaPath }) {
    if (token.value && !OPEN.has(schemaPath)) {
      request.headers.set("authorization", `Bearer ${token.value}`);
    }
    return request;
  },
};

let made: { at: string; client: ReturnType<typeof createClient<paths>> } | null = null;

/** The client of the API that the configuration names: `await ask(api().GET("/status"))`. */
export function api() {
  if (made?.at !== config.value.api) {
    const client = createClient<paths>({ baseUrl: config.value.api });
    client.use(authorization);
    made = { at: config.value.api, client };
  }
  return made.client;
}

interface Answer {
  data?: unknown;
  error?: unknown;
  response: Response;
}

/** The body of a request's answer; throws Problem, or the AbortError of one that was given up. */
export async function ask<A extends Answer>(request: Promise<A>): Promise<NonNullable<A["data"]>> {
  let answer: A;
  try {
    answer = await request;
  } catch (error) {
    if (isAbort(error)) throw error;
    throw asProblem(error, config.value.api);
  }
  if (!answer.response.ok) {
    if (answer.response.status === 403 && token.value) refuseToken();
    throw problemOf(answer.error, answer.response);
  }
  return answer.data as NonNullable<A["data"]>;
}

/** `files` and texts as the form that the API takes, for a `body` of multipart/form-data. */
export function form(fields: Record<string, string | File | File[] | undefined>): FormData {
  const made = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== undefined) made.append(name, one);
    }
  }
  return made;
}

/** Serialises nothing: the browser writes a form by itself. */
export const asForm = { bodySerializer: (body: unknown) => body as FormData } as const;
