/** The figures of the labelled images, loaded again by themselves until all uploads are in them. */
import { useEffect, useState } from "preact/hooks";
import { plural } from "../format";
import { api, ask, type Schemas } from "./client";
import { type Loaded, useLoad } from "./use-load";

const EVERY_MS = 5_000;

/** The service may learn a minute late of uploads that it has to count. */
const LATE_MS = 60_000;

type Dataset = Schemas["Dataset"];

export function useDataset(deps: readonly unknown[] = []): Loaded<Dataset> {
  const [followed, setFollowed] = useState(false);
  const dataset = useLoad(
    (signal) => ask(api().GET("/dataset", { signal })),
    deps,
    followed ? EVERY_MS : null,
  );
  const counting = Boolean(dataset.value?.counting);
  useEffect(() => {
    if (counting) return setFollowed(true);
    const timer = setTimeout(() => setFollowed(false), LATE_MS);
    return () => clearTimeout(timer);
  }, [counting]);
  return dataset;
}

/** The mark of figures that lack some images; undefined if they have all. */
export const countingText = ({ counting }: Pick<Dataset, "counting">): string | undefined =>
  counting ? `Still counting ${plural(counting, "image")}` : undefined;
