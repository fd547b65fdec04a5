/** The table of versions: measurements with intervals, and differences from the live one. */
import { useState } from "preact/hooks";
import type { Schemas } from "../../api/client";
import { admin } from "../../api/session";
import type { Listed } from "../../api/use-list";
import { count, dateTime, plural } from "../../format";
import { MoreButton } from "../../ui/more-button";
import { Scroll } from "../../ui/scroll";
import { Empty, Shown } from "../../ui/state";
import { Against } from "./figures";
import { ends, interval, MEASURES } from "./metrics";
import { LiveTag, RunName, VersionName } from "./names";
import { hasBeenLive, PromoteDialog } from "./promote";

type Summary = Schemas["ModelSummary"];

const SHOWN = ["accuracy", "auc", "expected_calibration_error"];
const COLUMNS = MEASURES.filter(({ name }) => SHOWN.includes(name));

interface Props {
  of: Listed<Summary>;
  live: string;
  /** The live version's metrics, once they are loaded. */
  metrics: Record<string, unknown> | undefined;
  history: readonly Schemas["PromotionRecord"][];
  picked: readonly string[];
  onPick: (picked: string[]) => void;
  onChanged: () => void;
}

export function Versions({ of, live, metrics, history, picked, onPick, onChanged }: Props) {
  const [promoting, setPromoting] = useState<Summary | null>(null);
  const isBack = (one: Summary) => one.source === "baseline" || hasBeenLive(one.version, history);
  // Two are compared: a third replaces the one selected first.
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
        Each version was tested on images that it was not trained on. Differences from the live
        model are coloured if the intervals do not overlap. Select two versions to compare them.
      </p>
      <Shown of={of} label="Loading versions">
        {() => (
          <>
            <Scroll label="Table of versions">
              <table class="versions">
                <thead>
                  <tr>
                    <th scope="col">Compare</th>
                    <th scope="col">Version</th>
                    <th scope="col">Trained</th>
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
                        <span class="unseen">Actions</span>
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
                      action={isBack(one) ? "Roll back" : "Make live"}
                      onAct={() => setPromoting(one)}
                    />
                  ))}
                </tbody>
              </table>
            </Scroll>
            {of.items.length === 1 && (
              <Empty title="Only the built-in model">
                <p>
                  <a href="?show=training">Add labelled images and train</a>. Every training adds a
                  version, even if it fails the quality checks.
                </p>
              </Empty>
            )}
            <MoreButton of={of} label="Show older versions" />
          </>
        )}
      </Shown>
      {promoting && (
        <PromoteDialog
          version={promoting.version}
          live={live}
          back={isBack(promoting)}
          onClose={() => setPromoting(null)}
          onDone={() => {
            setPromoting(null);
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
            "built in"
          ) : of.run ? (
            <>
              run <RunName of={of.run} />
            </>
          ) : (
            "trained elsewhere, or too long ago"
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
            title={`${count(train)} training, ${count(validation)} validation, ${count(test)} test`}
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
