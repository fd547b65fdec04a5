import { expect, it } from "vitest";
import { asProblem, Problem, problemOf } from "../../src/api/problem";

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

it("a one-word message of the gateway gets a title that explains it", () => {
  const problem = problemOf(
    { message: "Too Many Requests" },
    response(429, { "retry-after": "3" }),
  );
  expect(problem.title).toBe("Too many requests");
  expect(problem.detail).toBe("Too Many Requests");
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
