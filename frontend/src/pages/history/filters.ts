/** The filters of the history, kept in the address under the API's names. */
import { SOURCES } from "../../ui/source";

export const VERDICTS = {
  clickbait: "Clickbait",
  legitimate: "Legitimate",
  unsure: "Unsure",
} as const;

export interface Filters {
  verdict: keyof typeof VERDICTS | null;
  source: keyof typeof SOURCES | null;
  /** YYYY-MM-DD, in UTC. */
  day: string;
  version: string;
  batch: string;
}

const DAY = /^\d{4}-\d\d-\d\d$/;

const among = <T extends string>(known: Record<T, string>, value: string | null): T | null =>
  value !== null && Object.hasOwn(known, value) ? (value as T) : null;

/** Filters of an address; values that do not exist are ignored. */
export function filtersOf(search: string): Filters {
  const given = new URLSearchParams(search);
  const day = given.get("day") ?? "";
  return {
    verdict: among(VERDICTS, given.get("verdict")),
    source: among(SOURCES, given.get("source")),
    day: DAY.test(day) ? day : "",
    version: given.get("version") ?? "",
    batch: given.get("batch") ?? "",
  };
}

/** Query parameters for the API; those that are not set are left out. */
export const queryOf = ({ verdict, source, day, version, batch }: Filters) => ({
  ...(verdict && { verdict }),
  ...(source && { source }),
  ...(day && { day }),
  ...(version && { version }),
  ...(batch && { batch }),
});

/** The page's address with these filters. */
export function addressOf(filters: Filters): string {
  const query = new URLSearchParams(queryOf(filters)).toString();
  return query ? `/history?${query}` : "/history";
}
