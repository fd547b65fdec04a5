/** Results as CSV, byte for byte as the service writes them (`clickbait/store/results.py`). */
import type { Schemas } from "../../api/client";

/** `id` is that of the image in the review queue: null once the image is deleted. */
export type Row = Omit<Schemas["BatchRow"], "id" | "url" | "verdict"> & {
  id?: string | null;
  url?: string | null;
};

const DIGITS = 4;

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

function verdict(row: Row): string {
  if (row.prediction === null) return "";
  if (row.uncertain) return "unsure";
  return row.is_clickbait ? "clickbait" : "legitimate";
}

/**
 * Spreadsheets run text that begins like this as a formula, even after apostrophes. The last four
 * are the full-width forms of the first four.
 */
const FORMULA = /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

/** Separators in countries with a decimal comma: a row whose file name has one is quoted whole. */
const OTHER_SEPARATORS = /[;\t]/;

const NEEDS_QUOTES = /[",\r\n]/;

function number(value: number): string {
  const rounded = Number(value.toFixed(DIGITS));
  return Number.isInteger(rounded) ? `${rounded}.0` : String(rounded);
}

function cell(value: string | number | boolean | null): string {
  if (typeof value === "number") return number(value);
  if (typeof value === "string") return FORMULA.test(value) ? `'${value}` : value;
  return value === null ? "" : String(value);
}

const quoted = (text: string): string => `"${text.replaceAll('"', '""')}"`;

function line(row: Row): string {
  const all = OTHER_SEPARATORS.test(row.file);
  return [...COLUMNS.map((name) => cell(row[name])), verdict(row)]
    .map((text) => (all || NEEDS_QUOTES.test(text) ? quoted(text) : text))
    .join(",");
}

/** The header and `rows`: RFC 4180, for UTF-8. Excel needs the byte order mark; others do not. */
export const csv = (rows: readonly Row[], forExcel = false): string =>
  (forExcel ? "\ufeff" : "") +
  [[...COLUMNS, "verdict"].join(","), ...rows.map(line), ""].join("\r\n");
