import { expect, it } from "vitest";
import { AGAINST, evidenceText, FOR, pixelsOf, strengthOf } from "../../src/image/evidence";

it("the sign is the colour, the size is the opacity, and little evidence is not drawn", () => {
  expect(pixelsOf([[6, -60, 0.9]])).toEqual([...FOR, 255, ...AGAINST, 255, ...FOR, 0]);
  expect(strengthOf(-3.5)).toBe(0.5);
});

it("a sentence says what speaks for and against, and where", () => {
  const cells = Array.from({ length: 7 }, () => new Array<number>(7).fill(0));
  expect(evidenceText(cells)).toBe("No part of the image says much either way.");
  cells[0] = [3, 0, 0, 0, 0, 0, 0];
  expect(evidenceText(cells)).toBe("Strongest evidence for clickbait: top left.");
  cells[0] = [0, 0, 0, 0, 0, 0, 0];
  (cells[3] as number[])[3] = 3;
  expect(evidenceText(cells)).toBe("Strongest evidence for clickbait: centre.");
  (cells[3] as number[])[3] = 0;
  cells[0] = [3, 0, 0, 0, 0, 0, 0];
  cells[6] = [0, 0, 0, 0, 0, 0, -2];
  expect(evidenceText(cells.slice(1))).toBe("Strongest evidence against clickbait: bottom right.");
  expect(evidenceText(cells)).toBe(
    "Strongest evidence for clickbait: top left; against it: bottom right.",
  );
});

it("a map of any side has the same places", () => {
  const place = (y: number, x: number, side: number) =>
    evidenceText(
      Array.from({ length: side }, (_, row) =>
        Array.from({ length: side }, (_, column) => (row === y && column === x ? 3 : 0)),
      ),
    );
  expect(place(1, 1, 6)).toBe("Strongest evidence for clickbait: top left.");
  expect(place(3, 2, 6)).toBe("Strongest evidence for clickbait: centre.");
  expect(place(5, 3, 6)).toBe("Strongest evidence for clickbait: bottom centre.");
  expect(place(0, 0, 1)).toBe("Strongest evidence for clickbait: centre.");
});
