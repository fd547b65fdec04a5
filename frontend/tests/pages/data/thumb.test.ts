import { describe, expect, it } from "vitest";
import { linkOf } from "../../../src/pages/data/thumb";

/** The links that a picture loads, with each answer's link in turn. */
function loaded(answers: readonly (string | null)[], failing: readonly string[] = []) {
  let kept = answers[0] ?? null;
  let failed: string | null = null;
  return answers.map((url) => {
    kept = linkOf(kept, failed, url);
    if (kept && failing.includes(kept)) failed = kept;
    return kept;
  });
}

describe("the picture of a labelled image", () => {
  it("keeps its first link, however many come", () => {
    expect(loaded(["a", "b", "c"])).toEqual(["a", "a", "a"]);
  });

  it("keeps the first that comes later", () => {
    expect(loaded([null, "b", "c"])).toEqual([null, "b", "b"]);
  });

  it("takes the next after one that failed, and keeps that", () => {
    expect(loaded(["a", "b", "c"], ["a"])).toEqual(["a", "b", "b"]);
    expect(loaded(["a", "a", "c"], ["a"])).toEqual(["a", "a", "c"]);
  });
});
