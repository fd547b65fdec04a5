/** Where a logged prediction came from, with a link to its batch. */
import type { Schemas } from "../api/client";

type Past = Schemas["PastPrediction"];

/** What each request was for, by the function that answered it. */
export const SOURCES: Record<Past["source"], string> = {
  predict: "Single image",
  batch: "Several images",
  worker: "Batch",
};

export const Source = ({ of }: { of: Pick<Past, "source" | "batch"> }) =>
  of.batch ? (
    <a href={`/batch/${encodeURIComponent(of.batch)}`}>{SOURCES.worker}</a>
  ) : (
    <span>{SOURCES[of.source]}</span>
  );
