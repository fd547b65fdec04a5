/** The table of versions: each compared with the model before it, on the same images. */
import { useState } from "preact/hooks";
import { useLocation } from "preact-iso";
import type { Schemas } from "../../api/client";
import { admin } from "../../api/session";
import type { Loaded } from "../../api/use-load";
import { count, dateTime, percent, plural } from "../../format";
import { Scroll } from "../../ui/scroll";
import { Empty, Shown } from "../../ui/state";
import { searched } from "./address";
import { Find, Pages } from "./find";
import { change, imagesText, improvementOf } from "./improvement";
import { interval } from "./metrics";
import { LiveTag, RunName, VersionName } from "./names";
import { Star } from "./note";
import { hasBeenLive, PromoteDialog } from "./promote";

type Summary = Schemas["ModelSummary"];

interface Props {
  of: Loaded<Schemas["Models"]>;
  live: string;
  history: readonly Schemas["PromotionRecord"][];
  picked: readonly string[];
  onPick: (picked: string[]) => void;
  onChanged: () => void;
}

export function Versions({ of, live, history, picked, onPick, onChanged }: Props) {
  const { query, route } = useLocation();
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
        “Before” is the model that was live when a version was trained. Both answered the same
        images, which neither had learned from. Select two versions to compare them.
      </p>
      <Find label="Find a version by name or date">
        <label class="check">
          <input
            type="checkbox"
            checked={query.starred === "true"}
            onChange={(event) =>
              route(searched(query, { starred: event.currentTarget.checked ? "true" : null }), true)
            }
          />
          Starred only
        </label>
      </Find>
      <Shown of={of} label="Loading versions">
        {({ items, total, next }) => (
          <>
            <p class="hint" role="status">
              {plural(total, "version")}
              {(query.find || query.starred) && " found"}
            </p>
            {items.length > 0 && (
              <Scroll label="Table of versions">
                <table class="versions">
                  <thead>
                    <tr>
                      <th scope="col">Compare</th>
                      <th scope="col">Version</th>
                      <th scope="col">On the same images</th>
                      <th scope="col">Unsure</th>
                      <th scope="col">Own test</th>
                      <th scope="col">Trained</th>
                      {admin.value && (
                        <th scope="col">
                          <span class="unseen">Actions</span>
                        </th>
                      )}
                    </tr>
                  </thead>
                  <tbody>
                    {items.map((one) => (
                      <Row
                        key={one.version}
                        of={one}
                        isLive={one.version === live}
                        picked={picked.includes(one.version)}
                        onPick={() => pick(one.version)}
                        action={isBack(one) ? "Roll back" : "Make live"}
                        onAct={() => setPromoting(one)}
                        onStar={of.reload}
                      />
                    ))}
                  </tbody>
                </table>
              </Scroll>
            )}
            {total === 1 && items[0]?.source === "baseline" && (
              <Empty title="Only the built-in model">
                <p>
                  <a href="?show=training">Add labelled images and train</a>. Every training adds a
                  version, even if it fails the quality checks.
                </p>
              </Empty>
            )}
            <Pages of="versions" next={next} />
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
  picked,
  onPick,
  action,
  onAct,
  onStar,
}: {
  of: Summary;
  isLive: boolean;
  picked: boolean;
  onPick: () => void;
  action: string;
  onAct: () => void;
  onStar: () => void;
}) {
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
        {of.name && <strong class="version-name">{of.name}</strong>}
        <VersionName of={of.version} /> <Star of={of} onChanged={onStar} /> {isLive && <LiveTag />}
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
        <td colSpan={4} class="bad">
          {of.error}
        </td>
      ) : (
        <Figures of={of} />
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

function Figures({ of }: { of: Summary }) {
  const improvement = improvementOf(of.gate);
  const accuracy = interval(of.metrics, "accuracy");
  const { train, validation, test } = of.images;
  const [before, after] = [improvement?.of.before.unsure, improvement?.of.after.unsure];
  return (
    <>
      <td class="same-images" data-label="On the same images">
        {improvement ? (
          <>
            {change(improvement.of)}
            <small>on {imagesText(improvement)}</small>
          </>
        ) : (
          <small>not compared</small>
        )}
      </td>
      <td class="nowrap" data-label="Unsure">
        {typeof before === "number" && typeof after === "number" ? (
          <>
            {percent(after, 0)}, before {percent(before, 0)}
            {improvement && improvement.warnings.length > 0 && (
              <small class="warn" title={improvement.warnings.join(" ")}>
                much more often
              </small>
            )}
          </>
        ) : (
          <small>not measured</small>
        )}
      </td>
      <td class="nowrap" data-label="Own test" title={accuracy.reason ?? ""}>
        {percent(accuracy.value, 0)}
        <small>
          of its{" "}
          {test === 0 ? `${plural(train ?? 0, "image")}, in turn` : plural(test ?? 0, "test image")}
        </small>
      </td>
      <td
        class="nowrap"
        data-label="Trained"
        title={`${count(train)} training, ${count(validation)} validation, ${count(test)} test`}
      >
        {dateTime(of.training_date)}
        <small>on {plural((train ?? 0) + (validation ?? 0), "image")}</small>
      </td>
    </>
  );
}
