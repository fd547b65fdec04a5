/** The gate's verdict: whether a candidate was shown to be no worse, by which numbers. */
import { className, count, decimal, plural } from "../../format";
import { Scroll } from "../../ui/scroll";
import { COMPARED, type Gate, inWords } from "./gate";
import { plainly, VersionName } from "./names";

const NAMES = { candidate: "Candidate", champion: "Champion", best: "Best so far" } as const;
const SETS: Record<string, string> = { test: "Test side", exam: "Exam set" };

export function GateVerdict({ of: gate }: { of: Gate }) {
  const others = COMPARED.filter(
    (name) => gate[name] && (name !== "best" || gate.best !== gate.champion),
  );
  const failed = gate.checks.filter((check) => !check.passed).length;
  return (
    <>
      <p class={`gate-told ${gate.passed ? "good" : "warn"}`}>
        {failed === 0
          ? `It passed all ${plural(gate.checks.length, "check")}.`
          : `It was stopped: ${failed} of ${plural(gate.checks.length, "check")} failed.`}
      </p>
      {Object.entries(gate.sets).map(([name, set]) => (
        <Scroll label={`Table of the ${SETS[name] ?? name}`} key={name}>
          <table class="gate-set">
            <caption class="hint">
              {SETS[name] ?? name}: {count(set.images)} images that none of them trained on (
              {Object.entries(set.classes)
                .map(([label, n]) => `${count(n)} ${className(label).toLowerCase()}`)
                .join(", ")}
              )
            </caption>
            <thead>
              <tr>
                <th scope="col">Model</th>
                <th scope="col" class="number">
                  AUC
                </th>
                <th scope="col" class="number">
                  Brier score
                </th>
              </tr>
            </thead>
            <tbody>
              {others.map((other) => (
                <tr key={other}>
                  <th scope="row">
                    {NAMES[other]}
                    <small>
                      <VersionName of={gate[other]} />
                    </small>
                  </th>
                  <td class="number">{decimal(set[other]?.auc)}</td>
                  <td class="number">{decimal(set[other]?.brier)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      ))}
      <Checks of={gate} />
    </>
  );
}

/** What it had to pass, one by one. */
function Checks({ of: gate }: { of: Gate }) {
  return (
    <ul class="gate-checks">
      {gate.checks.map((check) => {
        const { title, found, asked, place } = inWords(check);
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
                <small>asked for: {asked}</small>
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
