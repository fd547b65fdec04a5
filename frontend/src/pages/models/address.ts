/** The address of a list on the Models page: its search, filters and page, so that Back restores them. */

/** `query` with `changes`, as an address below /models; empty and null values are left out. */
export function addressOf(
  query: Record<string, string>,
  changes: Record<string, string | null> = {},
): string {
  const merged = Object.entries({ ...query, ...changes }).filter(([, value]) => value);
  return `/models?${new URLSearchParams(merged as [string, string][])}`;
}

/** The same after another search: from its first page on. */
export const searched = (query: Record<string, string>, changes: Record<string, string | null>) =>
  addressOf(query, { ...changes, from: null });
