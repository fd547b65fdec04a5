/** How runs, versions and whoever decided are called, wherever they are shown. */
import { className } from "../../format";
import { STATES, type State } from "./progress";

export const versionPath = (version: string) => `/models/versions/${version}`;
export const runPath = (run: string) => `/models/runs/${run}`;

/** A version, linked; its name is a date and the first digits of the model's own hash. */
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

/** Who made a version live: a run, or an admin by a request. */
export function By({ whom }: { whom: string }) {
  const run = BY_RUN.exec(whom)?.[1];
  return run ? (
    <>
      run <RunName of={run} />
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
};

/** A run's state in a word, with its colour. */
export const StateTag = ({ of }: { of: State }) => (
  <span class={`tag state ${TONES[of]}`}>{STATES[of]}</span>
);

export const LiveTag = () => <span class="tag state good">Live</span>;

/** A sentence of the service with its classes as the page calls them. */
export const plainly = (said: string): string =>
  said.replaceAll(/clickbait_(?:real|fake)/g, (label) => className(label).toLowerCase());
