/** The search above a long list, and the links between its pages. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { useLocation } from "preact-iso";
import { addressOf, searched } from "./address";

/** Milliseconds without a key before a search begins. */
export const PAUSE_MS = 300;

/** The service's limit for a search. */
const MAX_SEARCH = 100;

export function SearchField({
  label,
  value = "",
  onFind,
}: {
  label: string;
  value?: string;
  onFind: (text: string) => void;
}) {
  return (
    <input
      type="search"
      aria-label={label}
      placeholder={label}
      maxLength={MAX_SEARCH}
      defaultValue={value}
      onInput={(event) => onFind(event.currentTarget.value)}
    />
  );
}

export function Find({ label, children }: { label: string; children?: ComponentChildren }) {
  const { query, route } = useLocation();
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  const find = (text: string) => {
    clearTimeout(timer.current);
    // The address may change while the search waits for the next key.
    timer.current = setTimeout(() => {
      const now = Object.fromEntries(new URLSearchParams(location.search));
      route(searched(now, { find: text.trim() }), true);
    }, PAUSE_MS);
  };
  return (
    <search class="find row">
      <SearchField label={label} value={query.find ?? ""} onFind={find} />
      {children}
    </search>
  );
}

/** Links to the first page and to the next; Back leads to the one before. */
export function Pages({ of, next }: { of: string; next: string | null | undefined }) {
  const { query } = useLocation();
  if (!query.from && !next) return null;
  return (
    <nav class="row pages" aria-label={`Pages of ${of}`}>
      {query.from && <a href={addressOf(query, { from: null })}>Newest {of}</a>}
      {next && <a href={addressOf(query, { from: next })}>Older {of}</a>}
    </nav>
  );
}
