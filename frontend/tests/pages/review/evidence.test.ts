import { expect, it } from "vitest";
import {
  AGAINST,
  evidenceText,
  FOR,
  pixelsOf,
  strengthOf,
} from "../../../src/pages/review/evidence";

it("the sign is the colour, the size is the opacity, and little evidence is not drawn", () => {
  expect(pixelsOf([[6, -60, 0.9]])).toEqual([...FOR, 255, ...AGAINST, 255, ...FOR, 0]);
  expect(strengthOf(-3.5)).toBe(0.5);
});

it("a sentence says what speaks for and against, and where", () => {
  const cells = Array.from({ length: 7 }, () => new Array<number>(7).fill(0));
  expect(evidenceText(cells)).toBe("No part of the image says much either way.");
  cells[0] = [3, 0, 0, 0, 0, 0, 0];
  expect(evidenceText(cells)).toBe("Strongest evidence for clickbait: top left.");
  cells[6] = [0, 0, 0, 0, 0, 0, -2];
  expect(evidenceText(cells)).toBe(
    "Strongest evidence for clickbait: top left; against it: bottom right.",
  );
});
