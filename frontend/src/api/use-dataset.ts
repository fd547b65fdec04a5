/** The figures of the labelled images, loaded again by themselves until all uploads are in them. */
import { plural } from "../format";
import { api, ask, type Schemas } from "./client";
import { type Loaded, useLoad } from "./use-load";

/** The service reads the descriptions of all images for one answer, so not more often. */
export const EVERY_MS = 15_000;

/** On AWS, the service may learn a minute late of uploads that it has to count. */
export const LATE_MS = 75_000;

type Dataset = Schemas["Dataset"];

/** When an upload was last sent, or was not counted yet: milliseconds since 1970. */
let uploadAt = Number.NEGATIVE_INFINITY;

/** Images of this tab have arrived: the figures are followed for a while, on any page. */
export function uploaded(): void {
  uploadAt = Date.now();
}

/** Milliseconds until the figures are loaded again; null if all uploads must be in them. */
export function following({ counting }: Pick<Dataset, "counting">): number | null {
  if (counting) uploaded();
  return Date.now() - uploadAt < LATE_MS ? EVERY_MS : null;
}

export const useDataset = (deps: readonly unknown[] = []): Loaded<Dataset> =>
  useLoad((signal) => ask(api().GET("/dataset", { signal })), deps, following);

/** The mark of figures that lack some images; undefined if they have all. */
export const countingText = ({ counting }: Pick<Dataset, "counting">): string | undefined =>
  counting ? `Still counting ${plural(counting, "image")}` : undefined;
