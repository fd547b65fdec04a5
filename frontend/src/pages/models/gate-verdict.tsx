/** The gate's result: whether the new version passed, and by which numbers. */
import { className, count, decimal, percent, plural } from "../../format";
import { Scroll } from "../../ui/scroll";
import { COMPARED, checkText, type Gate, scoresOf } from "./gate";
import { Warnings } from "./improved";
import { plainly, VersionName } from "./names";

const NAMES = { candidate: "New model", champion: "Live model", best: "Best version" } as const;
const SETS: Record<string, string> = {
  test: "Test images",
  exam: "Exam set",
  own: "Your images",
  world: "Thumbnails of the shipped kind",
};

export function GateVerdict({ of: gate }: { of: Gate }) {
  const others = COMPARED.filter(
    (name) => gate[name] && (name !== "best" || gate.best !== gate.champion),
  );
  const failed = gate.checks.filter((check) => !check.passed).length;
  return (
    <>
      <p class={`gate-result ${gate.passed ? "good" : "warn"}`}>
        {failed === 0
          ? `Passed all ${plural(gate.checks.length, "check")}.`
          : `Failed ${failed} of ${plural(gate.checks.length, "check")}.`}
      </p>
      <Warnings of={gate.warnings ?? []} />
      {Object.entries(gate.sets ?? {}).map(([name, set]) => (
        <Scroll label={`Table: ${SETS[name] ?? name}`} key={name}>
          <table class="gate-set">
            <caption class="hint">
              {SETS[name] ?? name}: {count(set.images)} images that none of these models trained on
              {classesText(set.classes)}
            </caption>
            <thead>
              <tr>
                <th scope="col">Model</th>
                <th scope="col" class="number">
                  Right
                </th>
                <th scope="col" class="number">
                  Unsure
                </th>
                <th scope="col" class="number">
                  AUC
                </th>
                <th scope="col" class="number">
                  Brier score
                </th>
              </tr>
            </thead>
            <tbody>
              {others.map((other) => {
                const { accuracy, unsure, auc, brier } = scoresOf(gate, name, other);
                return (
                  <tr key={other}>
                    <th scope="row">
                      {NAMES[other]}
                      <small>
                        <VersionName of={gate[other]} />
                      </small>
                    </th>
                    <td class="number">{percent(accuracy, 0)}</td>
                    <td class="number">{percent(unsure, 0)}</td>
                    <td class="number">{decimal(auc)}</td>
                    <td class="number">{decimal(brier)}</td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </Scroll>
      ))}
      <Checks of={gate} />
    </>
  );
}

function classesText(classes: Record<string, number> | undefined): string {
  const parts = Object.entries(classes ?? {}).map(
    ([label, n]) => `${count(n)} ${className(label).toLowerCase()}`,
  );
  return parts.length > 0 ? ` (${parts.join(", ")})` : "";
}

/** The checks one by one. */
function Checks({ of: gate }: { of: Gate }) {
  return (
    <ul class="gate-checks">
      {gate.checks.map((check) => {
        const { title, found, required, place } = checkText(check);
        return (
          <li key={check.name}>
            <div>
              <strong class={`check-title ${check.passed ? "good" : "bad"}`}>
                <span class="unseen">{check.passed ? "Passed: " : "Failed: "}</span>
                {title}
              </strong>
              <p class="hint">{plainly(check.detail)}</p>
            </div>
            {found && (
              <div class="numbers">
                <strong>{found}</strong>
                <small>required: {required}</small>
                {place !== null && (
                  <span
                    class={`margin ${check.name.startsWith("auc") ? "above" : "below"}`}
                    aria-hidden="true"
                  >
                    <span
                      class={check.passed ? "good" : "bad"}
                      style={{ left: `${50 + 50 * place}%` }}
                    />
                  </span>
                )}
              </div>
            )}
          </li>
        );
      })}
    </ul>
  );
}
