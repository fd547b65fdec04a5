/** Versions side by side: their figures with intervals, and how they differ from the live one. */
import { useState } from "preact/hooks";
import type { Schemas } from "../../api/client";
import { admin } from "../../api/session";
import { count, dateTime, plural } from "../../format";
import { Scroll } from "../../ui/scroll";
import { Empty, Shown } from "../../ui/state";
import { Against } from "./figures";
import { ends, interval, MEASURES } from "./metrics";
import { More } from "./more";
import { LiveTag, RunName, VersionName } from "./names";
import { hasBeenLive, PromoteDialog } from "./promote";
import type { Listed } from "./use-list";

type Summary = Schemas["ModelSummary"];

const SHOWN = ["accuracy", "auc", "expected_calibration_error"];
const COLUMNS = MEASURES.filter(({ name }) => SHOWN.includes(name));

interface Props {
  of: Listed<Summary>;
  live: string;
  /** The live version's metrics, once they are known. */
  metrics: Record<string, unknown> | undefined;
  history: readonly Schemas["PromotionRecord"][];
  picked: readonly string[];
  onPick: (picked: string[]) => void;
  onChanged: () => void;
}

export function Versions({ of, live, metrics, history, picked, onPick, onChanged }: Props) {
  const [asked, setAsked] = useState<Summary | null>(null);
  const isBack = (one: Summary) => one.source === "baseline" || hasBeenLive(one.version, history);
  // Two are compared: a third one takes the place of the one that was picked first.
  const pick = (version: string) =>
    onPick(
      picked.includes(version)
        ? picked.filter((one) => one !== version)
        : [...picked.slice(-1), version],
    );
  return (
    <section aria-labelledby="versions">
      <h2 id="versions">Versions</h2>
      <p class="hint">
        Each was measured on the test images of its own day, which it never saw, so a difference has
        a colour only where the intervals do not overlap. Pick two to compare them.
      </p>
      <Shown of={of} label="The versions">
        {() => (
          <>
            <Scroll label="Table of the versions">
              <table class="versions">
                <thead>
                  <tr>
                    <th scope="col">Compare</th>
                    <th scope="col">Version</th>
                    <th scope="col">Made</th>
                    <th scope="col" class="number">
                      Images
                    </th>
                    {COLUMNS.map(({ name, label, hint }) => (
                      <th key={name} scope="col" class="number" title={hint}>
                        {label}
                      </th>
                    ))}
                    {admin.value && (
                      <th scope="col">
                        <span class="unseen">What can be done</span>
                      </th>
                    )}
                  </tr>
                </thead>
                <tbody>
                  {of.items.map((one) => (
                    <Row
                      key={one.version}
                      of={one}
                      isLive={one.version === live}
                      metrics={metrics}
                      picked={picked.includes(one.version)}
                      onPick={() => pick(one.version)}
                      action={isBack(one) ? "Roll back" : "Promote"}
                      onAct={() => setAsked(one)}
                    />
                  ))}
                </tbody>
              </table>
            </Scroll>
            {of.items.length === 1 && (
              <Empty title="Only the model that ships">
                <p>
                  <a href="?show=training">Add labelled images and train</a>: every training makes a
                  version, also one that the gate stops.
                </p>
              </Empty>
            )}
            <More of={of} label="Older versions" />
          </>
        )}
      </Shown>
      {asked && (
        <PromoteDialog
          version={asked.version}
          live={live}
          back={isBack(asked)}
          onClose={() => setAsked(null)}
          onDone={() => {
            setAsked(null);
            onChanged();
          }}
        />
      )}
    </section>
  );
}

function Row({
  of,
  isLive,
  metrics,
  picked,
  onPick,
  action,
  onAct,
}: {
  of: Summary;
  isLive: boolean;
  metrics: Record<string, unknown> | undefined;
  picked: boolean;
  onPick: () => void;
  action: string;
  onAct: () => void;
}) {
  const { train, validation, test } = of.images;
  return (
    <tr class={isLive ? "is-live" : ""}>
      <td>
        <input
          type="checkbox"
          aria-label={`Compare ${of.version}`}
          checked={picked}
          onChange={onPick}
        />
      </td>
      <th scope="row">
        <VersionName of={of.version} /> {isLive && <LiveTag />}
        <small>
          {of.source === "baseline" ? (
            "ships with the service"
          ) : of.run ? (
            <>
              run <RunName of={of.run} />
            </>
          ) : (
            "trained elsewhere, or long ago"
          )}
        </small>
      </th>
      {of.error ? (
        <td colSpan={2 + COLUMNS.length} class="bad">
          {of.error}
        </td>
      ) : (
        <>
          <td class="nowrap">{dateTime(of.training_date)}</td>
          <td
            class="number"
            title={`${count(train)} to train, ${count(validation)} to validate, ${count(test)} to test`}
          >
            {count((train ?? 0) + (validation ?? 0) + (test ?? 0))}
            <small>{plural(test ?? 0, "test image")}</small>
          </td>
          {COLUMNS.map(({ name, format }) => {
            const figure = interval(of.metrics, name);
            return (
              <td key={name} class="number" title={figure.reason ?? ""}>
                {format(figure.value)}{" "}
                {!isLive && metrics && <Against metrics={of.metrics} live={metrics} name={name} />}
                {figure.low !== null && <small>{ends(format, figure)}</small>}
              </td>
            );
          })}
        </>
      )}
      {admin.value && (
        <td>
          {!isLive && !of.error && (
            <button
              type="button"
              class="secondary small"
              aria-label={`${action}: ${of.version}`}
              onClick={onAct}
            >
              {action}
            </button>
          )}
        </td>
      )}
    </tr>
  );
}
