import { expect, it } from "vitest";
import { flat } from "../../src/image/flat";

const pixels = (...colours: number[][]) => colours.flatMap((colour) => [...colour, 255]);

it("an image of one colour is flat, also with the noise of its compression", () => {
  expect(flat(pixels([128, 128, 128], [128, 128, 128]))).toBe(true);
  expect(flat(pixels([200, 10, 30], [203, 12, 30]))).toBe(true);
});

it("any other image is not, whichever channel differs", () => {
  expect(flat(pixels([128, 128, 128], [128, 128, 140]))).toBe(false);
  expect(flat([0, 0, 0, 0, 0, 0, 0, 255])).toBe(false);
});
