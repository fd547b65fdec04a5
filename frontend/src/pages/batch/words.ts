/** How far a batch is, in words. */
import type { Schemas } from "../../api/client";
import { count, decimal, duration, plural } from "../../format";
import type { Kept } from "./keep";
import type { Told } from "./uploads";

export type Batch = Schemas["Batch"];

/** Per cent at which those who cannot see the bar are told. */
const MILESTONES = [25, 50, 75];

/** The milestone that `done` of `total` has reached; 0 before the first. */
export const milestone = (done: number, total: number): number =>
  MILESTONES.findLast((each) => 100 * done >= each * total) ?? 0;

/** Images a second, as exactly as one can follow. */
export const rateInWords = (rate: number | null): string =>
  decimal(rate, rate !== null && rate < 10 ? 1 : 0);

export function progressInWords({ expected, done, failed, rate, seconds_left }: Batch): string {
  const parts = [`${count(done + failed)} of ${plural(expected, "file")} looked at`];
  if (failed > 0) parts.push(`${count(failed)} failed`);
  if (rate !== null) parts.push(`${rateInWords(rate)} images a second`);
  if (seconds_left) parts.push(`about ${duration(seconds_left)} left`);
  return parts.join(", ");
}

/** Where the uploads are, and what a reload would do to them. */
export function uploadsInWords({ phase, sent, unsafe, keeps, refused }: Told, of: number): string {
  const there = `${count(sent)} of ${plural(of, "file")} uploaded`;
  const without = refused.length > 0 ? `, ${count(refused.length)} not taken` : "";
  const ends: Record<Told["phase"], string> = {
    uploading:
      unsafe === 0
        ? "This page may be reloaded: it goes on where it was."
        : keeps
          ? `Leave this page open until the other ${count(unsafe)} are read; then it may be reloaded.`
          : "This browser keeps no files, for it has no room or is private: a reload would lose " +
            `the ${count(unsafe)} that are not uploaded.`,
    elsewhere: "Another tab of this browser uploads them.",
    paused: unsafe === 0 ? "What is left is kept here." : "What is left is in this tab only.",
    lacking: "The others have to be chosen again.",
    given: "",
  };
  // What another tab has done by now only that one knows.
  if (phase === "elsewhere") return ends.elsewhere;
  return `${there}${without}. ${ends[phase]}`.trim();
}

/** What this browser knows of one of its batches. */
export function stateInWords({ state, done, failed }: Kept): string {
  if (state === "uploading") return "Not all uploaded: open it to go on";
  if (state === "given") return "Not finished when it was last looked at";
  return failed ? `${count(done)} predicted, ${count(failed)} failed` : `${count(done)} predicted`;
}
