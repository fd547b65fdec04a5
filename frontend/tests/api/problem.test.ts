import { expect, it } from "vitest";
import { asProblem, Problem, problemOf } from "../../src/api/problem";

const answer = (status: number, headers: Record<string, string> = {}) =>
  new Response(null, { status, headers });

it("a problem document is told in its own words", () => {
  const told = problemOf(
    { title: "Not found", detail: "There is no run 7.", status: 404, request_id: "abc" },
    answer(404),
  );
  expect([told.title, told.detail, told.status, told.requestId]).toEqual([
    "Not found",
    "There is no run 7.",
    404,
    "abc",
  ]);
  expect(told.passing).toBe(false);
});

it("what the gateway says in a word gets a title that explains it", () => {
  const told = problemOf({ message: "Too Many Requests" }, answer(429, { "retry-after": "3" }));
  expect(told.title).toBe("Too many requests at this moment");
  expect(told.detail).toBe("Too Many Requests");
  expect(told.retryAfter).toBe(3);
  expect(told.passing).toBe(true);
});

it("an answer without a word still says its status, and keeps the request's id", () => {
  const told = problemOf(undefined, answer(500, { "x-request-id": "r-1" }));
  expect(told.title).toContain("500");
  expect(told.requestId).toBe("r-1");
  expect(told.passing).toBe(false);
});

it("a date in Retry-After is no number of seconds", () => {
  const date = "Wed, 21 Oct 2026 07:28:00 GMT";
  expect(problemOf({}, answer(503, { "retry-after": date })).retryAfter).toBeNull();
});

it("401 and 403 ask for the token", () => {
  expect(problemOf({}, answer(401)).unauthorized).toBe(true);
  expect(problemOf({}, answer(403)).unauthorized).toBe(true);
  expect(problemOf({}, answer(404)).unauthorized).toBe(false);
});

it("no answer at all names where none came from", () => {
  const told = asProblem(new TypeError("Failed to fetch"), "http://127.0.0.1:8000");
  expect(told.status).toBe(0);
  expect(told.detail).toContain("http://127.0.0.1:8000");
  expect(told.passing).toBe(true);
});

it("a problem stays what it is", () => {
  const problem = new Problem("a", "b", 409);
  expect(asProblem(problem, "x")).toBe(problem);
});
