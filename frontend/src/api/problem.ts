/** What goes wrong, in the service's own words, whoever of gateway, function or network said it. */

const RETRY = /^\d{1,5}$/;

export class Problem extends Error {
  override name = "Problem";

  constructor(
    readonly title: string,
    readonly detail: string,
    /** HTTP's status; 0 where no answer came. */
    readonly status: number,
    readonly requestId: string | null = null,
    /** Seconds after which it is worth another try. */
    readonly retryAfter: number | null = null,
    /** The whole document: RFC 9457 lets it say more than the members above. */
    readonly members: Readonly<Record<string, unknown>> = {},
  ) {
    super(detail ? `${title}: ${detail}` : title);
  }

  /** Whether the token is missing or wrong. */
  get unauthorized(): boolean {
    return this.status === 401 || this.status === 403;
  }

  /** Whether the same request may well be answered a moment later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 502;
  }
}

/** The problem of an answer that is not 2xx: RFC 9457 from the service, `message` from the gateway. */
export function problemOf(body: unknown, response: Response): Problem {
  const said = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  const text = (name: string) => (typeof said[name] === "string" ? (said[name] as string) : "");
  const retry = response.headers.get("retry-after") ?? "";
  return new Problem(
    text("title") || GATEWAY[response.status] || `The service answered ${response.status}`,
    text("detail") || text("message") || "It gave no reason. Try again.",
    response.status,
    text("request_id") || response.headers.get("x-request-id"),
    RETRY.test(retry) ? Number(retry) : null,
    said,
  );
}

/** Titles for what API Gateway answers by itself, in one or two words that explain nothing. */
const GATEWAY: Record<number, string> = {
  413: "Too large for the API",
  429: "Too many requests at this moment",
  503: "The service took too long, or is busy",
};

/** The problem of a failure that has no answer: the network, a page that was left, a fault of ours. */
export function asProblem(error: unknown, where: string): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof TypeError) {
    return new Problem(
      "The API does not answer",
      `No answer came from ${where}. Is it running, and does it allow this page's address? ` +
        "On this machine `make up` starts it; elsewhere look at its alarms. Then try again.",
      0,
    );
  }
  const said = error instanceof Error ? error.message : String(error);
  return new Problem(
    "Something failed in this page",
    `${said}. Reload the page and try again.`,
    -1,
  );
}

export const isAbort = (error: unknown): boolean =>
  error instanceof DOMException && error.name === "AbortError";
