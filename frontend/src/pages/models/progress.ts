/** The progress of a training run: its steps, its epochs and the time left. */
import type { Schemas } from "../../api/client";
import { loose, numberOr } from "./metrics";

export type Run = Schemas["Run"];
export type State = Run["state"];

const ENDS: readonly State[] = ["PROMOTED", "REJECTED", "FAILED", "CANCELLED"];

export const ended = (state: State): boolean => ENDS.includes(state);

export const STATES: Record<State, string> = {
  QUEUED: "Queued",
  RUNNING: "Training",
  EVALUATING: "Evaluating",
  PROMOTED: "Promoted",
  REJECTED: "Rejected",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
};

/** Steps of a small update, which neither waits for a machine nor trains a network. */
const SMALL_STEPS: Partial<Record<State, string>> = {
  QUEUED: "Starting",
  RUNNING: "Learning",
  EVALUATING: "Testing",
};

export const isSmall = ({ method }: Pick<Run, "method">): boolean => method === "small_update";

/** The state of a run in a word. */
export const stateName = ({ method }: Pick<Run, "method">, state: State): string =>
  (isSmall({ method }) && SMALL_STEPS[state]) || STATES[state];

/** The state of a run as a heading. */
const HEADS: Record<State, string> = {
  QUEUED: "Waiting for a machine",
  RUNNING: "Training",
  EVALUATING: "Evaluating",
  PROMOTED: "New model is live",
  REJECTED: "Not better: live model kept",
  FAILED: "Training failed",
  CANCELLED: "Training cancelled",
};

/** For a small update, which needs no machine of its own. */
const SMALL_HEADS: Partial<Record<State, string>> = {
  QUEUED: "Starting",
  RUNNING: "Learning from your images",
  EVALUATING: "Comparing with the live model",
};

export const headOf = (run: Pick<Run, "method" | "state">): string =>
  (isSmall(run) && SMALL_HEADS[run.state]) || HEADS[run.state];

/** The tab's title of a run. */
export function titleOf(run: Pick<Run, "method" | "state" | "epoch" | "epochs">): string {
  const counted = run.state === "RUNNING" && !isSmall(run) && run.epoch && run.epochs;
  return counted ? `${headOf(run)} · epoch ${run.epoch} of ${run.epochs}` : headOf(run);
}

export const TRIGGERS: Record<Run["trigger"], string> = {
  uploads: "new images",
  schedule: "the daily training",
  admin: "an admin",
};

export interface Step {
  name: string;
  /** `skipped`: the run ended before it. */
  place: "done" | "now" | "ahead" | "skipped";
  /** How the run ended, for the last step. */
  end?: State;
  at?: string;
  /** Seconds that it took, or has taken until `now`. */
  seconds?: number;
}

const ORDER: readonly State[] = ["QUEUED", "RUNNING", "EVALUATING"];

/** The steps of a run, each with its duration until `now` (milliseconds since 1970). */
export function stepsOf(
  { state, times, method }: Pick<Run, "state" | "times" | "method">,
  now: number,
): Step[] {
  const nameOf = (of: State) => stateName({ method }, of);
  const moments = Object.values(times).map((at) => new Date(at).getTime());
  const steps = ORDER.map((name): Step => {
    const at = times[name];
    if (!at) return { name: nameOf(name), place: ended(state) ? "skipped" : "ahead" };
    const began = new Date(at).getTime();
    const next = Math.min(...moments.filter((moment) => moment > began));
    const until = Number.isFinite(next) ? next : now;
    return {
      name: nameOf(name),
      place: state === name ? "now" : "done",
      at,
      seconds: Math.max(0, (until - began) / 1000),
    };
  });
  const at = times[state];
  const end: Step = ended(state)
    ? { name: STATES[state], place: "done", end: state, ...(at ? { at } : {}) }
    : { name: "Decision", place: "ahead" };
  return [...steps, end];
}

/** Seconds from the request to the end, or until `now`. */
export function tookSeconds(
  { state, times, created }: Pick<Run, "state" | "times" | "created">,
  now: number,
): number {
  const end = ended(state) ? times[state] : undefined;
  const until = end ? new Date(end).getTime() : now;
  return Math.max(0, (until - new Date(times.QUEUED ?? created).getTime()) / 1000);
}

/** One epoch of one network, as `training.loop` writes it; null if nothing was measured. */
export interface Epoch {
  member: number;
  epoch: number;
  loss: number | null;
  accuracy: number | null;
  val_loss: number | null;
  val_accuracy: number | null;
  val_auc: number | null;
  seconds: number | null;
}

export function epochsOf(history: Run["history"]): Epoch[] {
  return (history ?? []).map((row) => ({
    member: numberOr(row.member) ?? 1,
    epoch: numberOr(row.epoch) ?? 0,
    loss: numberOr(row.loss),
    accuracy: numberOr(row.accuracy),
    val_loss: numberOr(row.val_loss),
    val_accuracy: numberOr(row.val_accuracy),
    val_auc: numberOr(row.val_auc),
    seconds: numberOr(row.seconds),
  }));
}

/** The epoch whose weights a network keeps: highest validation AUC, else lowest loss, else the last. */
export function bestOf(epochs: readonly Epoch[]): Epoch | undefined {
  const score = (one: Epoch) => one.val_auc ?? (one.val_loss === null ? null : -one.val_loss);
  return epochs.reduce<Epoch | undefined>((best, one) => {
    const [ours, theirs] = [score(one), best && score(best)];
    return best && ours !== null && theirs !== null && theirs !== undefined && ours <= theirs
      ? best
      : one;
  }, undefined);
}

/** Epochs that predict the next one's time: the first one also builds the network. */
const RECENT = 3;

/** Seconds until `planned` epochs are done, from the latest ones; null before the first. */
export function secondsLeft(epochs: readonly Epoch[], planned: number): number | null {
  const last = epochs.at(-1);
  if (!last) return null;
  const recent = epochs
    .slice(-RECENT)
    .map((one) => one.seconds ?? 0)
    .sort((a, b) => a - b);
  return Math.max(0, planned - last.epoch) * (recent[Math.floor((recent.length - 1) / 2)] ?? 0);
}

export interface LabelledImages {
  listed: number | null;
  usable: number | null;
  new: number | null;
  left_out: number | null;
}

export function imagesOf(run: Pick<Run, "images">): LabelledImages | null {
  if (!run.images) return null;
  const images = loose(run.images);
  return {
    listed: numberOr(images.listed),
    usable: numberOr(images.usable),
    new: numberOr(images.new),
    left_out: numberOr(images.left_out),
  };
}

/** The run that has not ended, if any; there are never two. */
export const runUnderWay = (runs: readonly Run[]): Run | undefined =>
  runs.find((run) => !ended(run.state));
