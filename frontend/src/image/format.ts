/** What kind of image a file is, by its bytes: names and types are often wrong. */

export type Format = "jpeg" | "png" | "webp" | "avif" | "heic" | "other";

/** Bytes that tell the format, and whether a WebP is animated. */
export const HEAD = 32;

const BRANDS: Record<string, Format> = { avif: "avif" };
for (const brand of ["heic", "heix", "heim", "heis", "mif1"]) BRANDS[brand] = "heic";

const text = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);

/** `head`: the first HEAD bytes. Sequences of AVIF and HEIC are `other`: which frame would it be? */
export function formatOf(head: Uint8Array): Format {
  const start = text(head);
  if (start.startsWith("\xff\xd8\xff")) return "jpeg";
  if (start.startsWith("\x89PNG\r\n\x1a\n")) return "png";
  if (start.startsWith("RIFF") && start.slice(8, 12) === "WEBP") return "webp";
  if (start.slice(4, 8) !== "ftyp") return "other";
  // Apple's tools write "mif1" first and the codec behind it.
  if (start.slice(8, 12) === "mif1" && start.slice(16).includes("avif")) return "avif";
  return BRANDS[start.slice(8, 12)] ?? "other";
}

const PNG_SIGNATURE = 8;
/** Of a PNG's chunk: the length and the name before its content, and the checksum behind it. */
const CHUNK_HEAD = 8;
const CHUNK_TAIL = 4;

/** Whether a PNG or WebP is animated: the page must not pick a frame. Reads no pixels. */
export async function isAnimated(file: Blob, format: Format, head: Uint8Array): Promise<boolean> {
  if (format === "webp") return text(head.slice(12, 16)) === "VP8X" && ((head[20] ?? 0) & 0x02) > 0;
  if (format !== "png") return false;
  // An animation has its chunk before the pixels, maybe behind long profiles and texts.
  let at = PNG_SIGNATURE;
  while (at + CHUNK_HEAD <= file.size) {
    const chunk = new DataView(await file.slice(at, at + CHUNK_HEAD).arrayBuffer());
    const name = text(new Uint8Array(chunk.buffer, 4));
    if (name === "acTL") return true;
    if (name === "IDAT") return false;
    at += CHUNK_HEAD + chunk.getUint32(0) + CHUNK_TAIL;
  }
  return false;
}
