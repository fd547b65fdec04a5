import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { conversionText, formatOf, HEAD, isAnimated } from "../../src/image/format";

/** Drawn by tests/samples/animations.py; the service's tests read them too. */
const ANIMATIONS: { name: string; format: string; moves: boolean; base64: string }[] = JSON.parse(
  readFileSync(new URL("../../../tests/samples/animations.json", import.meta.url), "utf8"),
);

const bytes = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0));

/** A chunk of a PNG with `size` bytes of content. */
const chunk = (name: string, size = 0) => {
  const length = String.fromCharCode(...new Uint8Array(new Uint32Array([size]).buffer).reverse());
  return `${length}${name}${" ".repeat(size)}....`;
};
const png = (...chunks: string[]) => bytes(`\x89PNG\r\n\x1a\n${chunks.join("")}`);
const animated = (data: Uint8Array<ArrayBuffer>) => {
  const head = data.slice(0, HEAD);
  return isAnimated(new Blob([data]), formatOf(head), head);
};

describe("the format of a file", () => {
  it.each([
    ["\xff\xd8\xff\xe0", "jpeg"],
    ["\x89PNG\r\n\x1a\n", "png"],
    ["RIFF....WEBPVP8 ", "webp"],
    ["\0\0\0\x20ftypavif\0\0\0\0avifmif1", "avif"],
    ["\0\0\0\x20ftypmif1\0\0\0\0avifmif1", "avif"],
    ["\0\0\0\x18ftypheic\0\0\0\0mif1heic", "heic"],
    ["\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "heic"],
    // Sequences, films, and what the service refuses.
    ["\0\0\0\x20ftypavis\0\0\0\0", "other"],
    ["\0\0\0\x20ftyphevc\0\0\0\0", "other"],
    ["GIF89a", "other"],
    ["BM", "other"],
    ["", "other"],
  ])("is recognised by its first bytes and not by its name: %j is %s", (head, format) => {
    expect(formatOf(bytes(head))).toBe(format);
  });
});

describe("an animation is found", () => {
  it.each(ANIMATIONS)("as the service finds it: $name", async ({ format, moves, base64 }) => {
    const data = Uint8Array.from(Buffer.from(base64, "base64"));
    expect(formatOf(data.slice(0, HEAD))).toBe(format);
    expect(await animated(data)).toBe(moves);
  });

  it("in a PNG behind any amount of other chunks, but not in its pixels or texts", async () => {
    const text = chunk("tEXt", 100_000);
    expect(await animated(png(chunk("IHDR", 13), text, chunk("acTL", 8), chunk("IDAT")))).toBe(
      true,
    );
    expect(await animated(png(chunk("IHDR", 13), text, chunk("IDAT"), chunk("acTL")))).toBe(false);
    expect(await animated(png(chunk("IHDR", 13), chunk("tEXt", 4).replace("    ", "acTL")))).toBe(
      false,
    );
  });

  it("never for ever: a PNG that ends early is left to the service", async () => {
    expect(await animated(png(chunk("IHDR", 13), chunk("tEXt", 10).slice(0, 9)))).toBe(false);
    expect(await animated(png())).toBe(false);
  });
});

it("one converted file is not counted, and several are, with their formats", () => {
  expect(conversionText([])).toBe("");
  expect(conversionText(["AVIF"])).toBe("Converted from AVIF to JPEG in this browser.");
  expect(conversionText(["HEIC", "HEIC"])).toBe(
    "2 files converted from HEIC to JPEG in this browser.",
  );
  expect(conversionText(["HEIC", "AVIF", "HEIC"])).toBe(
    "3 files converted from AVIF and HEIC to JPEG in this browser.",
  );
});
