/** The progress of a batch in words. */
import type { Schemas } from "../../api/client";
import { count, decimal, duration, plural } from "../../format";
import type { Kept } from "./kept";
import type { Progress } from "./uploads";

export type Batch = Schemas["Batch"];

/** Percentages that are announced to those who do not see the bar. */
const MILESTONES = [25, 50, 75];

/** The milestone that `done` of `total` has reached; 0 before the first. */
export const milestone = (done: number, total: number): number =>
  MILESTONES.findLast((each) => 100 * done >= each * total) ?? 0;

/** Images a second, with a decimal only below ten. */
export const rateText = (rate: number | null): string =>
  decimal(rate, rate !== null && rate < 10 ? 1 : 0);

export function progressText({ expected, done, failed, rate, seconds_left }: Batch): string {
  const parts = [`${count(done + failed)} of ${plural(expected, "file")} done`];
  if (failed > 0) parts.push(`${count(failed)} failed`);
  if (rate !== null) parts.push(`${rateText(rate)} images a second`);
  if (seconds_left) parts.push(`about ${duration(seconds_left)} left`);
  return parts.join(", ");
}

/** How a batch ended. */
export const endText = ({ failed }: Pick<Batch, "failed">): string =>
  failed > 0 ? `Finished, ${count(failed)} failed` : "Finished";

/** The tab's title of a batch. */
export function titleOf(batch: Batch, finished: boolean): string {
  const { id, name, expected, done, failed } = batch;
  const share = Math.floor((100 * (done + failed)) / Math.max(1, expected));
  return `${finished ? endText(batch) : `${Math.min(100, share)}%`} · Batch ${name ?? id}`;
}

/** How many files are uploaded, and what a reload would do to the others. */
export function uploadsText({ phase, sent, unsafe, keeps, refused }: Progress, of: number): string {
  const uploaded = `${count(sent)} of ${plural(of, "file")} uploaded`;
  const without = refused.length > 0 ? `, ${count(refused.length)} skipped` : "";
  const ends: Record<Progress["phase"], string> = {
    uploading:
      unsafe === 0
        ? "You can reload or close this tab; the upload resumes."
        : keeps
          ? `Keep this tab open until the other ${count(unsafe)} are read.`
          : "This browser can’t store files (it is full or in private mode). Keep this tab open: a " +
            `reload would lose the ${count(unsafe)} that are not uploaded.`,
    elsewhere: "Another tab of this browser is uploading them.",
    paused:
      unsafe === 0
        ? "The other files are kept in this browser."
        : "The other files are only in this tab. Keep it open.",
    missing: "Select the others again.",
    given: "",
  };
  // Only the other tab knows how many are uploaded.
  if (phase === "elsewhere") return ends.elsewhere;
  return `${uploaded}${without}. ${ends[phase]}`.trim();
}

/** The last known state of a batch that began in this browser. */
export function stateText({ state, done, failed }: Kept): string {
  if (state === "uploading") return "Upload not finished. Open to resume.";
  if (state === "given") return "In progress when last opened";
  return failed ? `${count(done)} done, ${count(failed)} failed` : `${count(done)} done`;
}
