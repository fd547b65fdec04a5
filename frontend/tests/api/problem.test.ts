import { afterEach, expect, it, vi } from "vitest";
import { asProblem, BucketProblem, Problem, problemOf } from "../../src/api/problem";

afterEach(() => vi.unstubAllGlobals());

const online = (onLine: boolean) => vi.stubGlobal("navigator", { onLine });

const response = (status: number, headers: Record<string, string> = {}) =>
  new Response(null, { status, headers });

it("a problem document keeps its own words", () => {
  const problem = problemOf(
    { title: "Not found", detail: "There is no run 7.", status: 404, request_id: "abc" },
    response(404),
  );
  expect([problem.title, problem.detail, problem.status, problem.requestId]).toEqual([
    "Not found",
    "There is no run 7.",
    404,
    "abc",
  ]);
  expect(problem.passing).toBe(false);
});

it("a one-word message of the gateway gets words that explain it", () => {
  const problem = problemOf(
    { message: "Too Many Requests" },
    response(429, { "retry-after": "3" }),
  );
  expect(problem.title).toBe("Too many requests");
  expect(problem.detail).toContain("Wait");
  expect(problem.retryAfter).toBe(3);
  expect(problem.passing).toBe(true);
});

it("a response without a body still has its status and request ID", () => {
  const problem = problemOf(undefined, response(500, { "x-request-id": "r-1" }));
  expect(problem.title).toContain("500");
  expect(problem.requestId).toBe("r-1");
  expect(problem.passing).toBe(false);
});

it("a date in Retry-After is ignored", () => {
  const date = "Wed, 21 Oct 2026 07:28:00 GMT";
  expect(problemOf({}, response(503, { "retry-after": date })).retryAfter).toBeNull();
});

it("401 and 403 ask for the token", () => {
  expect(problemOf({}, response(401)).unauthorized).toBe(true);
  expect(problemOf({}, response(403)).unauthorized).toBe(true);
  expect(problemOf({}, response(404)).unauthorized).toBe(false);
});

it("a failed connection tells users what to do, and the owner what did not respond", () => {
  online(true);
  const problem = asProblem(new TypeError("Failed to fetch"), "http://127.0.0.1:8000");
  expect(problem.status).toBe(0);
  expect(problem.title).toBe("Can’t reach the service");
  expect(problem.more).toContain("http://127.0.0.1:8000");
  expect(problem.passing).toBe(true);
});

it("a problem stays the same", () => {
  const problem = new Problem("a", "b", 409);
  expect(asProblem(problem, "x")).toBe(problem);
});

it("a failed connection without a network is named as that", () => {
  online(false);
  expect(asProblem(new TypeError("Failed to fetch"), "x").title).toBe("You are offline");
});

it("a bug in the page is not blamed on the network", () => {
  online(true);
  const bug = asProblem(new TypeError("undefined is not a function"), "x");
  expect([bug.title, bug.status]).toEqual(["Error in this page", -1]);
});

it("a web page in place of an answer is a network that wants a sign-in, not a wrong token", () => {
  const login = "<!doctype html><title>Sign in to the Wi-Fi</title>";
  for (const problem of [
    asProblem(new SyntaxError("Unexpected token '<'"), "https://api.test"),
    problemOf(login, response(403)),
    problemOf(login, response(404)),
  ]) {
    expect(problem.title).toBe("This network blocks the service");
    expect(problem.unauthorized).toBe(false);
    expect(problem.retriable).toBe(true);
  }
  expect(problemOf(login, response(502)).title).toBe("No answer from the service");
});

it("an image that the gateway refuses says the limit, and is not tried again", () => {
  const problem = problemOf({ message: "Request Entity Too Large" }, response(413));
  expect(problem.detail).toContain("4 MB");
  expect(problem.retriable).toBe(false);
});

it.each([
  [0, true],
  [400, false],
  [404, false],
  [409, true],
  [415, false],
  [422, false],
  [429, true],
  [500, true],
  [503, true],
])("after status %d, whether another try can help is %s", (status, helps) => {
  expect(new Problem("a", "b", status).retriable).toBe(helps);
});

it("a form of the bucket that has expired asks for no token", () => {
  const problem = new BucketProblem("The upload link has expired", "Policy expired.", 403);
  expect(problem.unauthorized).toBe(false);
  expect(problem.retriable).toBe(true);
});
