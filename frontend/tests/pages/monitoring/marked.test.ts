import { expect, it } from "vitest";
import { ALARMS } from "../../../src/pages/monitoring/alarms";
import { partsOf } from "../../../src/pages/monitoring/marked";

it("code and links are split from the text", () => {
  expect(partsOf("Run `make up`, then see [Models](/models).")).toEqual([
    { kind: "text", text: "Run " },
    { kind: "code", text: "make up" },
    { kind: "text", text: ", then see " },
    { kind: "link", text: "Models", href: "/models" },
    { kind: "text", text: "." },
  ]);
  expect(partsOf("`a`")).toEqual([{ kind: "code", text: "a" }]);
  expect(partsOf("nothing marked [here]")).toEqual([
    { kind: "text", text: "nothing marked [here]" },
  ]);
});

it("every alarm says what to do, and links to pages of this site only", () => {
  for (const { resource, title, means, do: steps } of ALARMS) {
    expect(title && means && steps.length > 0, resource).toBeTruthy();
    expect(steps.join(), "names no stack").not.toMatch(/clickbait[- ]/);
    for (const part of steps.flatMap(partsOf)) {
      if (part.kind === "text") expect(part.text, resource).not.toMatch(/[`[\]]/);
      if (part.kind === "link") {
        expect(part.href, resource).toMatch(/^\/(classify|batch|data|models|monitoring)?(\?.*)?$/);
      }
    }
  }
});
