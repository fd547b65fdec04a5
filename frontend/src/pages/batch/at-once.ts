/** Up to ten images that are asked about right away: they need no token, and stay with this tab. */
import { signal } from "@preact/signals";
import { api, asForm, ask, form, type Schemas } from "../../api/client";
import { asProblem, Problem } from "../../api/problem";
import { config, member } from "../../api/session";
import { API_LIMIT } from "../../api/upload";
import { prepare } from "../../image/prepare";
import { learn } from "../../store/model";
import { announce } from "../../ui/announce";
import type { Row } from "./csv";
import { namesOf } from "./names";
import { patient } from "./patient";
import { inWords, tally } from "./view";

/** Images of one request (`MAX_IMAGES` in `functions/batch/forms.py`). */
export const MOST_AT_ONCE = 10;

export interface Asked {
  names: readonly string[];
  /** Each as it is sent, as soon as that is made. */
  images: readonly File[];
  /** Each file's result; of those that are awaited there is none. */
  rows: readonly (Row | undefined)[];
  busy: boolean;
  problem?: Problem;
}

export const asked = signal<Asked | null>(null);

/** Ask about `files`; false where they are too large for the API and can go by way of the bucket. */
export async function askAbout(files: readonly File[], original: boolean): Promise<boolean> {
  const names = namesOf(files);
  const first: Asked = { names, images: [], rows: files.map(() => undefined), busy: true };
  asked.value = first;
  const prepared = await Promise.all(files.map((file) => prepare(file, original)));
  const images = prepared.map(({ file }) => file);
  if (asked.value !== first) return true; // Others were chosen meanwhile.
  if (member.value && images.some((image) => image.size > API_LIMIT)) {
    asked.value = null;
    return false;
  }
  await goOn({ ...first, images });
  return true;
}

/** Ask about those of `of` that have no result yet. */
export async function goOn({ problem: _, ...of }: Asked): Promise<void> {
  let now: Asked = { ...of, busy: true };
  const show = (change: Partial<Asked>) => {
    const current = asked.value?.names === now.names;
    now = { ...now, ...change };
    if (current) asked.value = now;
  };
  show({});
  const open = now.rows.flatMap((row, at) => (row ? [] : [at]));
  try {
    for (const places of requests(
      open,
      now.images.map((image) => image.size),
    )) {
      const answered = await results(now, places);
      show({ rows: now.rows.map((row, at) => row ?? answered.get(at)) });
    }
    show({ busy: false });
    announce(inWords(tally(now.rows.filter((row) => row !== undefined))));
  } catch (error) {
    show({ busy: false, problem: asProblem(error, config.value.api) });
  }
}

/** `places` in as many requests as are needed for each to stay within the API's limit. */
export function requests(places: readonly number[], sizes: readonly number[]): number[][] {
  const made: number[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const place of places) {
    const size = sizes[place] ?? 0;
    bytes += size;
    if (bytes > API_LIMIT) {
      made.push([]);
      bytes = size;
    }
    made.at(-1)?.push(place);
  }
  return made;
}

async function results(of: Asked, places: readonly number[]): Promise<Map<number, Row>> {
  const files = places.flatMap((place) => of.images[place] ?? []);
  const name = (place: number | undefined) => of.names[place ?? -1] ?? "";
  try {
    const answer = await patient(() =>
      ask(api().POST("/predict-batch", { body: form({ files }) as never, ...asForm })),
    );
    await learn(answer.model_version).catch(() => undefined);
    return new Map(places.map((place, at) => [place, rowOf(name(place), answer.results[at])]));
  } catch (error) {
    const [place] = places;
    const alone = places.length === 1 && error instanceof Problem && !error.passing;
    // What is said of a request with one image is said of that image.
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
});

/** A result of /predict-batch as the row that a batch would have. */
export function rowOf(file: string, result: Result | undefined): Row {
  if (!result) return failed(file, "The service gave no result for it. Try again.");
  if (!("prediction" in result)) return failed(file, result.detail);
  const { prediction, is_clickbait, probability, confidence, uncertain, model_version } =
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
  };
}
