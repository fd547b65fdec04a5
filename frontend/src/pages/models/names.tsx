/** The names of runs, versions and the people who decide, the same on every page. */
import { className, percent } from "../../format";
import { STATES, type State } from "./progress";

const versionPath = (version: string) => `/models/versions/${version}`;
export const runPath = (run: string) => `/models/runs/${run}`;

/** A link to a version; its name is a date and the first digits of the model's hash. */
export const VersionName = ({ of }: { of: string }) => (
  <a class="id" href={versionPath(of)}>
    {of}
  </a>
);

export const RunName = ({ of }: { of: string }) => (
  <a class="id" href={runPath(of)}>
    {of}
  </a>
);

const BY_RUN = /^run (\S+)$/;
const BY_ADMIN = /^admin, request (\S+)$/;

/** Digits of a request's ID to show: enough to find it in a log. */
const DIGITS = 8;

/** Who made a version live: a run, or an admin by a request. */
export function By({ whom }: { whom: string }) {
  const run = BY_RUN.exec(whom)?.[1];
  const request = BY_ADMIN.exec(whom)?.[1];
  if (run) {
    return (
      <>
        run <RunName of={run} />
      </>
    );
  }
  return request ? (
    <>
      an admin, request <abbr title={request}>{request.slice(0, DIGITS)}</abbr>
    </>
  ) : (
    whom
  );
}

const TONES: Record<State, string> = {
  QUEUED: "",
  RUNNING: "now",
  EVALUATING: "now",
  PROMOTED: "good",
  REJECTED: "warn",
  FAILED: "bad",
  CANCELLED: "",
};

/** A run's state in a word, with its colour. */
export const StateTag = ({ of }: { of: State }) => (
  <span class={`tag state ${TONES[of]}`}>{STATES[of]}</span>
);

export const LiveTag = () => <span class="tag state good">Live</span>;

/** A sentence of the service with the page's names for the classes. */
export const plainly = (sentence: string): string =>
  sentence.replaceAll(/clickbait_(?:real|fake)/g, (label) => className(label).toLowerCase());

interface Change {
  change?: string;
  threshold?: number | null;
}

/** The new threshold in a record of the release history; null if it is of a new live model. */
export function thresholdText({ change, threshold }: Change): string | null {
  if (change !== "threshold") return null;
  if (typeof threshold !== "number") return "The model’s own threshold again.";
  return `New threshold: clickbait from ${percent(threshold)} on.`;
}
