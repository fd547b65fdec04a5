/** Up to ten images, predicted at once: they need no token, and stay in this tab. */
import { signal } from "@preact/signals";
import { api, asForm, ask, form, type Schemas } from "../../api/client";
import { MAX_BODY_BYTES } from "../../api/limits";
import { asProblem, Problem } from "../../api/problem";
import { config, member } from "../../api/session";
import { prepare, refusalText } from "../../image/prepare";
import { learn } from "../../store/model";
import { announce } from "../../ui/announce";
import { namesOf } from "../../upload/names";
import { retry } from "../../upload/retry";
import type { Row } from "./csv";
import { countsText, tally } from "./view";

export interface QuickBatch {
  names: readonly string[];
  /** Each as it is sent, once it is prepared. */
  images: readonly File[];
  /** The former formats of those that this browser converted. */
  converted: readonly string[];
  /** Each file's result; undefined until it comes. */
  rows: readonly (Row | undefined)[];
  busy: boolean;
  problem?: Problem;
}

export const quickBatch = signal<QuickBatch | null>(null);

/** Predict `files`; returns false if they are too large for the API and may go to the bucket. */
export async function predictNow(files: readonly File[], original: boolean): Promise<boolean> {
  const names = namesOf(files);
  const first: QuickBatch = {
    names,
    images: [],
    converted: [],
    rows: files.map(() => undefined),
    busy: true,
  };
  quickBatch.value = first;
  const prepared = await Promise.all(files.map((file) => prepare(file, original)));
  const images = prepared.map(({ file }) => file);
  if (quickBatch.value !== first) return true; // The user has chosen other files.
  const tooLarge = prepared.some(({ file, refused }) => !refused && file.size > MAX_BODY_BYTES);
  if (member.value && tooLarge) {
    quickBatch.value = null;
    return false;
  }
  const rows = prepared.map(({ refused }, at) =>
    refused ? failed(names[at] ?? "", refusalText(refused)) : undefined,
  );
  const converted = prepared.flatMap((one) => one.converted ?? []);
  await resume({ ...first, images, rows, converted });
  return true;
}

/** Predict those of `of` that have no result yet. */
export async function resume({ problem: _, ...of }: QuickBatch): Promise<void> {
  let now: QuickBatch = { ...of, busy: true };
  const show = (change: Partial<QuickBatch>) => {
    const current = quickBatch.value?.names === now.names;
    now = { ...now, ...change };
    if (current) quickBatch.value = now;
  };
  show({});
  const waiting = now.rows.flatMap((row, at) => (row ? [] : [at]));
  try {
    for (const places of requests(
      waiting,
      now.images.map((image) => image.size),
    )) {
      const found = await results(now, places);
      show({ rows: now.rows.map((row, at) => row ?? found.get(at)) });
    }
    show({ busy: false });
    announce(countsText(tally(now.rows.filter((row) => row !== undefined))));
  } catch (error) {
    show({ busy: false, problem: asProblem(error, config.value.api) });
  }
}

/** `places` split so that each request stays within the API's limit. */
export function requests(places: readonly number[], sizes: readonly number[]): number[][] {
  const split: number[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const place of places) {
    const size = sizes[place] ?? 0;
    bytes += size;
    if (bytes > MAX_BODY_BYTES) {
      split.push([]);
      bytes = size;
    }
    split.at(-1)?.push(place);
  }
  return split;
}

async function results(of: QuickBatch, places: readonly number[]): Promise<Map<number, Row>> {
  const files = places.flatMap((place) => of.images[place] ?? []);
  const name = (place: number | undefined) => of.names[place ?? -1] ?? "";
  try {
    const answer = await retry(() =>
      ask(api().POST("/predict-batch", { body: form({ files }) as never, ...asForm })),
    );
    await learn(answer.model_version).catch(() => undefined);
    return new Map(places.map((place, at) => [place, rowOf(name(place), answer.results[at])]));
  } catch (error) {
    const [place] = places;
    const alone = places.length === 1 && error instanceof Problem && !error.passing;
    // The failure of a request with one image is that of the image.
    if (!alone || error.status < 400 || place === undefined) throw error;
    return new Map([[place, failed(name(place), error.detail)]]);
  }
}

type Result = Schemas["FilePrediction"] | Schemas["FileProblem"];

const failed = (file: string, error: string): Row => ({
  file,
  prediction: null,
  is_clickbait: null,
  probability: null,
  confidence: null,
  uncertain: null,
  model_version: null,
  error,
  threshold: null,
});

/** A result of /predict-batch as a row of a batch. */
export function rowOf(file: string, result: Result | undefined): Row {
  if (!result) return failed(file, "The service returned no result for this file. Try again.");
  if (!("prediction" in result)) return failed(file, result.detail);
  const { prediction, is_clickbait, probability, confidence, uncertain, model_version, threshold } =
    result as Schemas["FilePrediction"];
  return {
    file,
    prediction,
    is_clickbait,
    probability,
    confidence,
    uncertain,
    model_version,
    error: null,
    threshold,
  };
}
