/** Splits a line of an alarm's steps into text, `code` and [links](/to). */

export type Part =
  | { kind: "text"; text: string }
  | { kind: "code"; text: string }
  | { kind: "link"; text: string; href: string };

const MARKED = /`([^`]+)`|\[([^\]]+)\]\(([^)]+)\)/g;

export function partsOf(line: string): Part[] {
  const parts: Part[] = [];
  let end = 0;
  const text = (until: number) => {
    if (until > end) parts.push({ kind: "text", text: line.slice(end, until) });
  };
  for (const found of line.matchAll(MARKED)) {
    text(found.index);
    const [all, code, name, href] = found;
    if (code !== undefined) parts.push({ kind: "code", text: code });
    else parts.push({ kind: "link", text: name ?? "", href: href ?? "" });
    end = found.index + all.length;
  }
  text(line.length);
  return parts;
}
