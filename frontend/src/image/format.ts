/** The format of an image, by its first bytes: names and media types are often wrong. */

import { plural } from "../format";

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

/** Bytes before the first chunk of a PNG and of a WebP. */
const PNG_START = 8;
const WEBP_START = 12;
/** Bytes of a chunk's length and name, and of the checksum behind a PNG's chunk. */
const CHUNK_HEAD = 8;
const CHECKSUM = 4;
/** The service refuses files with more chunks; here they count as animated, and are sent as is. */
const MAX_CHUNKS = 10_000;

/**
 * Whether a PNG or WebP has several frames, as the service counts them: the page must not pick one.
 * Reads the heads of the chunks and no pixels.
 */
export async function isAnimated(file: Blob, format: Format, head: Uint8Array): Promise<boolean> {
  if (format === "png") return hasFrames(file);
  const mayMove = text(head.slice(12, 16)) === "VP8X" && ((head[20] ?? 0) & 0x02) > 0;
  return format === "webp" && mayMove && hasSeveralAnmf(file);
}

async function hasFrames(file: Blob): Promise<boolean> {
  let at = PNG_START;
  let frames = 0;
  let first = 1;
  for (let n = 0; n < MAX_CHUNKS; n++) {
    // The length, the name, and the number of frames if it is a control chunk.
    const chunk = new DataView(await file.slice(at, at + CHUNK_HEAD + 4).arrayBuffer());
    if (chunk.byteLength < CHUNK_HEAD) return false;
    const name = text(new Uint8Array(chunk.buffer, 4, 4));
    if (name === "acTL" && chunk.byteLength > CHUNK_HEAD) frames = chunk.getInt32(CHUNK_HEAD);
    // Without a control chunk before it, the picture itself stands beside the animation.
    if (name === "fcTL") first = 0;
    if (name === "IDAT") return frames > 0 && frames + first > 1;
    at += CHUNK_HEAD + chunk.getUint32(0) + CHECKSUM;
  }
  return true;
}

async function hasSeveralAnmf(file: Blob): Promise<boolean> {
  let at = WEBP_START;
  let frames = 0;
  for (let n = 0; n < MAX_CHUNKS; n++) {
    const chunk = new DataView(await file.slice(at, at + CHUNK_HEAD).arrayBuffer());
    if (chunk.byteLength < CHUNK_HEAD) return frames > 1;
    if (text(new Uint8Array(chunk.buffer, 0, 4)) === "ANMF") frames++;
    if (frames > 1) return true;
    const size = chunk.getUint32(4, true);
    at += CHUNK_HEAD + size + (size % 2);
  }
  return true;
}

/** A word about files that were converted, each by the name of its format; "" if there are none. */
export function conversionText(formats: readonly string[]): string {
  if (formats.length === 0) return "";
  const names = [...new Set(formats)].sort().join(" and ");
  const files = formats.length === 1 ? "Converted" : `${plural(formats.length, "file")} converted`;
  return `${files} from ${names} to JPEG in this browser.`;
}
