/** Every failure in one shape, whether the service, the gateway or the network reports it. */

import { MAX_BODY_BYTES } from "./limits";

const RETRY = /^\d{1,5}$/;

export class Problem extends Error {
  override name = "Problem";

  constructor(
    readonly title: string,
    readonly detail: string,
    /** The HTTP status; 0 if there was no response, -1 for a bug in this page. */
    readonly status: number,
    readonly requestId: string | null = null,
    /** Seconds to wait before another try. */
    readonly retryAfter: number | null = null,
    /** The whole document: RFC 9457 allows more members than those above. */
    readonly members: Readonly<Record<string, unknown>> = {},
    /** For people who run the service; shown on demand. */
    readonly more: string | null = null,
  ) {
    super(detail ? `${title}: ${detail}` : title);
  }

  /** Whether the token is missing or wrong. */
  get unauthorized(): boolean {
    return this.status === 401 || this.status === 403;
  }

  /** Whether the same request may succeed a moment later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 502;
  }

  /** Whether a person's second try may succeed: not if the request itself is at fault. */
  get retriable(): boolean {
    return this.passing || this.status < 400 || MAY_CHANGE.has(this.status);
  }
}

/** More statuses whose reason can pass: a timeout, a conflict with what is there now, a fault. */
const MAY_CHANGE: ReadonlySet<number> = new Set([408, 409, 425, 500]);

/** The bucket's 403 is about its signed form or link: no token would help. */
export class BucketProblem extends Problem {
  override get unauthorized(): boolean {
    return false;
  }

  override get retriable(): boolean {
    return this.status === 403 || super.retriable;
  }
}

/** The problem of a response that is not 2xx: RFC 9457 from the service, `message` from the gateway. */
export function problemOf(body: unknown, response: Response): Problem {
  const document = (typeof body === "object" && body !== null ? body : {}) as Record<
    string,
    unknown
  >;
  const text = (name: string) =>
    typeof document[name] === "string" ? (document[name] as string) : "";
  const retry = response.headers.get("retry-after") ?? "";
  // Below 500 the service always answers in JSON.
  if (response.status < 500 && isPage(body)) return intercepted(response.url);
  const [title, detail] = GATEWAY[response.status] ?? [];
  return new Problem(
    text("title") || title || `Error ${response.status}`,
    text("detail") || detail || text("message") || "The service gave no reason. Try again.",
    response.status,
    text("request_id") || response.headers.get("x-request-id"),
    RETRY.test(retry) ? Number(retry) : null,
    document,
  );
}

/** For API Gateway's own responses, whose one or two words explain nothing. */
const GATEWAY: Record<number, readonly [title: string, detail: string]> = {
  413: [
    "Image too large",
    `One request holds ${MAX_BODY_BYTES / 2 ** 20} MB. Choose a smaller image, or let this page ` +
      "resize it: “Upload at full size” must be off.",
  ],
  429: ["Too many requests", "The service takes no more for a moment. Wait, then try again."],
  502: ["No answer from the service", "It stopped in the middle of this request. Try again."],
  503: ["Service busy", "It has no capacity for this request at the moment. Try again soon."],
  504: ["The service took too long", "It gave up on this request. Try again."],
};

const isPage = (body: unknown): boolean => typeof body === "string" && /^\s*</.test(body);

/** A login page of a hotel's or a train's network, or a proxy, stands between. */
export const intercepted = (where: string): Problem =>
  new Problem(
    "This network blocks the service",
    "A web page came in place of an answer. Networks that ask you to sign in first do this: open " +
      "any website, sign in, then try again.",
    0,
    null,
    null,
    {},
    `HTML, not JSON, from ${where}.`,
  );

/** What browsers say if a request got no response. Other TypeErrors are bugs. */
const NO_RESPONSE = /fetch|network|load failed/i;

/** The problem of a failure without a response from `where`: the network, or a bug in this page. */
export function asProblem(error: unknown, where: string): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof SyntaxError) return intercepted(where);
  if (error instanceof TypeError && NO_RESPONSE.test(error.message)) {
    if (!navigator.onLine) {
      return new Problem("You are offline", "Connect to the internet, then try again.", 0);
    }
    return new Problem(
      "Can’t reach the service",
      "Check your connection, then try again.",
      0,
      null,
      null,
      {},
      `No response from ${where}.`,
    );
  }
  const message = error instanceof Error ? error.message : String(error);
  return new Problem("Error in this page", `${message}. Reload the page and try again.`, -1);
}

export const isAbort = (error: unknown): boolean =>
  error instanceof DOMException && error.name === "AbortError";
