/** Every failure in one shape, whether the service, the gateway or the network reports it. */

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
  return new Problem(
    text("title") || GATEWAY[response.status] || `Error ${response.status}`,
    text("detail") || text("message") || "The service gave no reason. Try again.",
    response.status,
    text("request_id") || response.headers.get("x-request-id"),
    RETRY.test(retry) ? Number(retry) : null,
    document,
  );
}

/** Titles for API Gateway's own responses, whose one or two words explain nothing. */
const GATEWAY: Record<number, string> = {
  413: "Image too large",
  429: "Too many requests",
  503: "Service busy",
};

/** The problem of a failure without a response from `where`: the network, or a bug in this page. */
export function asProblem(error: unknown, where: string): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof TypeError) {
    return new Problem(
      "Can’t reach the service",
      "Check your connection, then try again.",
      0,
      null,
      null,
      {},
      `No response from ${where}. On your own machine, start it with \`make up\`; on AWS, see its alarms.`,
    );
  }
  const message = error instanceof Error ? error.message : String(error);
  return new Problem("Error in this page", `${message}. Reload the page and try again.`, -1);
}

export const isAbort = (error: unknown): boolean =>
  error instanceof DOMException && error.name === "AbortError";
