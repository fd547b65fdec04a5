/** Results as CSV, byte for byte as the service writes them (`clickbait/store/results.py`). */
import type { Schemas } from "../../api/client";

/** `id` is that of the image in the review queue: null once the image is deleted. */
export type Row = Omit<Schemas["BatchRow"], "id"> & { id?: string | null };

const COLUMNS = [
  "file",
  "prediction",
  "is_clickbait",
  "probability",
  "confidence",
  "uncertain",
  "model_version",
  "error",
  "threshold",
] as const satisfies readonly (keyof Row)[];

/**
 * Spreadsheets run text that begins like this as a formula, even after apostrophes. The last four
 * are the full-width forms of the first four.
 */
const FORMULA = /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

/** Separators in countries with a decimal comma: a row whose file name has one is quoted whole. */
const OTHER_SEPARATORS = /[;\t]/;

const NEEDS_QUOTES = /[",\r\n]/;

/** Python writes smaller numbers with an exponent. */
const SMALLEST_PLAIN = 1e-4;

function number(value: number): string {
  if (Number.isInteger(value)) return `${value}.0`;
  if (Math.abs(value) >= SMALLEST_PLAIN) return String(value);
  const [digits, exponent = ""] = value.toExponential().split("e-");
  return `${digits}e-${exponent.padStart(2, "0")}`;
}

function cell(value: string | number | boolean | null): string {
  if (typeof value === "number") return number(value);
  if (typeof value === "string") return FORMULA.test(value) ? `'${value}` : value;
  return value === null ? "" : String(value);
}

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;

function line(row: Row): string {
  const all = OTHER_SEPARATORS.test(row.file);
  return COLUMNS.map((name) => cell(row[name]))
    .map((text) => (all || NEEDS_QUOTES.test(text) ? quoted(text) : text))
    .join(",");
}

/** The header and `rows`: RFC 4180, for UTF-8 without a byte order mark. */
export const csv = (rows: readonly Row[]): string =>
  [COLUMNS.join(","), ...rows.map(line), ""].join("\r\n");
