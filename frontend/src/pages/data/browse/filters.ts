/** The filters of the images, kept in the address. */
import type { Label } from "../../../upload/folders";
import type { Side } from "./image";

export const SHOWS = {
  disagrees: "Model disagrees",
  duplicates: "Near-duplicates",
  both_labels: "Both labels",
  rejected: "Rejected",
} as const;
export type Show = keyof typeof SHOWS;

export interface Filters {
  label: Label | null;
  side: Side | null;
  show: Show | null;
  /** Part of the name. */
  q: string;
}

const LABELS: readonly string[] = ["clickbait_fake", "clickbait_real"];
const SIDES: readonly string[] = ["train", "validation", "test", "exam", "none"];

/** Names in the address; `show` is the section of the page there. */
const ADDRESS = { label: "label", side: "side", show: "only", q: "q" } as const;

/** Filters of an address; values that do not exist are ignored. */
export function filtersOf(search: string): Filters {
  const given = new URLSearchParams(search);
  const known = (name: string, values: readonly string[]) => {
    const value = given.get(name);
    return value !== null && values.includes(value) ? value : null;
  };
  return {
    label: known(ADDRESS.label, LABELS) as Label | null,
    side: known(ADDRESS.side, SIDES) as Side | null,
    show: known(ADDRESS.show, Object.keys(SHOWS)) as Show | null,
    q: given.get(ADDRESS.q) ?? "",
  };
}

/** The page's address with these filters. */
export function addressOf(filters: Filters): string {
  const query = new URLSearchParams({ show: "browse" });
  for (const [name, inAddress] of Object.entries(ADDRESS)) {
    const value = filters[name as keyof Filters];
    if (value) query.set(inAddress, value);
  }
  return `/data?${query}`;
}

/** Query parameters for the API; those that are not set are left out. */
export const queryOf = ({ label, side, show, q }: Filters) => ({
  ...(label && { label }),
  ...(side && { side }),
  ...(show && { show }),
  ...(q && { q }),
});

export const filtered = (filters: Filters): boolean => Object.keys(queryOf(filters)).length > 0;
