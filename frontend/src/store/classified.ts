/** The images classified in this tab with their results, newest first; `session` keeps them. */
import { signal } from "@preact/signals";
import { api, asForm, ask, form, type Schemas } from "../api/client";
import { MAX_BODY_BYTES, MAX_IMAGES } from "../api/limits";
import { asProblem, Problem } from "../api/problem";
import { config, member } from "../api/session";
import { percent } from "../format";
import { isFlat } from "../image/flat";
import { type Prepared, prepare, unreadable } from "../image/prepare";
import { pictureOf } from "../image/youtube";
import { announce } from "../ui/announce";
import { verdictOf } from "../ui/verdict";
import { uploadImage } from "../upload/bucket";
import { type LeftOut, readable, split } from "../upload/names";
import { learn } from "./model";

export type Answer = Schemas["PredictionAnswer"];

export interface Classified {
  id: number;
  /** The file as it was chosen; without content for a video. */
  source: File;
  /** The id of the YouTube video whose thumbnail it is. */
  video?: string | undefined;
  /** An address of it, for this tab. */
  picture: string;
  /** Whether it is sent at full size. */
  original: boolean;
  prepared?: Prepared;
  answer?: Answer;
  /** Whether it has one colour only. */
  flat?: boolean;
  problem?: Problem;
  /** Milliseconds from the choice to the result. */
  took?: number;
  /** The label that the user sent as a correction. */
  corrected?: string;
}

/** Images in memory: each holds its file's bytes. */
const REMEMBERED = 30;

export const classified = signal<readonly Classified[]>([]);

/** Where the tab's session storage has the keys of the images, for `session`. */
export const KEPT = "classified";

let last = 0;

/** Change one image, unless it has been dropped from memory. */
export function update(id: number, change: Partial<Classified>): void {
  classified.value = classified.value.map((one) => (one.id === id ? { ...one, ...change } : one));
}

/** Classify `source`, resized unless `original`; returns its id in `classified` at once. */
export function classify(source: File, original = false): number {
  return begin({ source, picture: URL.createObjectURL(source), original });
}

/** Classify the thumbnail of a YouTube video, which the service fetches; returns as `classify`. */
export function classifyVideo(video: string): number {
  const source = new File([], `YouTube video ${video}`);
  return begin({ source, video, picture: pictureOf(video), original: true });
}

function begin(one: Omit<Classified, "id">): number {
  last += 1;
  const id = last;
  const began: Classified = { id, ...one };
  const all = [began, ...classified.value];
  for (const forgotten of all.slice(REMEMBERED)) URL.revokeObjectURL(forgotten.picture);
  classified.value = all.slice(0, REMEMBERED);
  void send(began);
  void import("./session").then(
    ({ follow }) => follow(),
    () => undefined,
  );
  return id;
}

/** Show images from before a reload below the new ones; one without a result is sent again. */
export function adopt(before: readonly Omit<Classified, "id" | "picture">[]): Classified[] {
  const adopted = before.map((one) => {
    last += 1;
    const picture = one.video ? pictureOf(one.video) : URL.createObjectURL(one.source);
    return { ...one, id: last, picture };
  });
  classified.value = [...classified.value, ...adopted].slice(0, REMEMBERED);
  for (const one of adopted) if (!one.answer) void send(one);
  return adopted;
}

/** Forget all images of this tab. */
export function clear(): void {
  for (const { picture } of classified.value) URL.revokeObjectURL(picture);
  classified.value = [];
}

/** What of the last choice was not classified. */
export const leftOver = signal<{ others: readonly LeftOut[]; more: readonly File[] }>({
  others: [],
  more: [],
});

/** Classify the first MAX_IMAGES images of `files`, the first on top; the rest is in `leftOver`.
 * Returns their ids in the order of the files. */
export function classifyAll(files: readonly File[], original = false): number[] {
  const { images, others } = split(files);
  leftOver.value = { others, more: images.slice(MAX_IMAGES) };
  const ids = images
    .slice(0, MAX_IMAGES)
    .reverse()
    .map((file) => classify(file, original));
  return ids.reverse();
}

/** Retry an image that failed, in its place. */
export function again({ id, source, video, picture, original }: Classified): void {
  const anew: Classified = { id, source, video, picture, original };
  classified.value = classified.value.map((one) => (one.id === id ? anew : one));
  void send(anew);
}

async function send({ id, source, video, original }: Classified): Promise<void> {
  const started = performance.now();
  try {
    const found = video ? await predictVideo(video) : await predictFile(id, source, original);
    const { answer } = found;
    update(id, { ...found, took: performance.now() - started });
    announce(`${source.name}: ${verdictOf(answer)}, ${percent(answer.probability)} clickbait`);
    await learn(answer.model_version).catch(() => undefined);
  } catch (error) {
    let problem = asProblem(error, config.value.api);
    // A file that was changed or deleted meanwhile fails as the network does.
    if (problem.status === 0 && !video && !(await readable(source))) problem = unreadable();
    update(id, { problem, took: performance.now() - started });
    announce(`${source.name}: ${problem.title}. ${problem.detail}`);
  }
}

type Found = Partial<Pick<Classified, "flat" | "picture">> & { answer: Answer };

async function predictFile(id: number, source: File, original: boolean): Promise<Found> {
  const prepared = await prepare(source, original);
  if (prepared.refused) throw prepared.refused;
  update(id, { prepared });
  const [answer, flat] = await Promise.all([predict(prepared.file), isFlat(prepared.file)]);
  return { answer, flat };
}

/** The service was started without the right to fetch anything. */
const NOT_FETCHED = 501;

async function predictVideo(video: string): Promise<Found> {
  try {
    const answer = await ask(
      api().POST("/predict", { params: { query: { explain: true } }, body: { youtube: video } }),
    );
    return { answer, picture: pictureOf(video, answer.image) };
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== NOT_FETCHED) throw error;
    throw new Problem(
      "This service opens no YouTube links",
      "Save the thumbnail as an image, and choose that file.",
      NOT_FETCHED,
    );
  }
}

/** Through the API, or through the bucket if the image is too large and this tab is allowed to. */
async function predict(file: File): Promise<Answer> {
  const explain = { params: { query: { explain: true } } };
  if (file.size > MAX_BODY_BYTES && member.value) {
    const key = await uploadImage(file);
    return ask(api().POST("/predict", { ...explain, body: { key } }));
  }
  return ask(api().POST("/predict", { ...explain, body: form({ file }) as never, ...asForm }));
}

/** Send the right label of an image; throws Problem. */
export async function correct(one: Classified, label: Answer["prediction"]): Promise<void> {
  const facts = {
    label,
    prediction: one.answer?.prediction ?? ("" as const),
    model_version: one.answer?.model_version ?? "",
  };
  // YouTube lets a page show a thumbnail, and not read it: the service fetches it again.
  const request = one.video
    ? { body: { youtube: one.video, ...facts } }
    : { body: form({ file: one.prepared?.file ?? one.source, ...facts }) as never, ...asForm };
  await ask(api().POST("/feedback", request));
  update(one.id, { corrected: label });
}
