/** Two versions in detail: measurements, recipes and quality checks. */
import { api, ask, type Schemas } from "../../api/client";
import { useLoad } from "../../api/use-load";
import { ConfusionMatrix } from "../../ui/confusion-matrix";
import { Scroll } from "../../ui/scroll";
import { Empty, Shown } from "../../ui/state";
import { scaleFrom, Whisker } from "./figures";
import { gateOf } from "./gate";
import { Improved } from "./improved";
import { between, headline, improvementOf } from "./improvement";
import { confusionOf, ends, interval, loose, MEASURES, recipeChanges, withSpaces } from "./metrics";
import { plainly, VersionName } from "./names";

type Model = Schemas["Model"];

const load = (version: string, signal: AbortSignal) =>
  ask(api().GET("/models/{version}", { params: { path: { version } }, signal }));

export function Comparison({ of: [first, second] }: { of: readonly [string, string] }) {
  const both = useLoad(
    (signal) => Promise.all([load(first, signal), load(second, signal)]),
    [first, second],
  );
  return (
    <Shown of={both} label="Loading the comparison">
      {([a, b]) => (
        <>
          <SameImages of={[a, b]} />
          <h3>Each on its own test images</h3>
          <Measurements of={[a, b]} />
          <div class="pair">
            {[a, b].map((one) => {
              const matrix = confusionOf(one.metrics);
              return (
                matrix && (
                  <ConfusionMatrix
                    key={one.version}
                    of={matrix}
                    caption={`Test images, version ${one.version}`}
                  />
                )
              );
            })}
          </div>
          <h3>Recipe</h3>
          <Recipes of={[a, b]} />
          <h3>Quality checks</h3>
          <dl class="facts reasons">
            {[a, b].map((one) => (
              <>
                <dt>
                  <VersionName of={one.version} />
                </dt>
                <dd>
                  <Reason of={one} />
                </dd>
              </>
            ))}
          </dl>
        </>
      )}
    </Shown>
  );
}

/** The second after the first, if the quality checks measured both on the same images. */
function SameImages({ of: [a, b] }: { of: readonly [Model, Model] }) {
  const found = between(a, b);
  if (!found) {
    return (
      <p class="compared">
        The quality checks did not measure these two on the same images. Figures of different images
        do not say which is better.
      </p>
    );
  }
  return (
    <>
      <p class="hint">
        Before: <VersionName of={a.version} />. After: <VersionName of={b.version} />.
      </p>
      <p class="run-headline">{headline(found)}</p>
      <Improved of={found} />
    </>
  );
}

/** Each against the model that was live before it, on the same images. */
function Reason({ of: { gate } }: { of: Model }) {
  const improvement = improvementOf(gate);
  return (
    <>
      {improvement && <strong>{headline(improvement)}. </strong>}
      {plainly(gateOf(gate)?.reason ?? "No checks on record.")}
    </>
  );
}

function Measurements({ of: [a, b] }: { of: readonly [Model, Model] }) {
  return (
    <>
      <p class="hint">
        The two sets of images may differ, and so may how hard they are: do not compare the columns.
      </p>
      <Scroll label="Table of measurements">
        <table class="measures">
          <thead>
            <tr>
              <th scope="col">Measurement</th>
              <th scope="col" class="number first">
                {a.version}
              </th>
              <th scope="col" class="number second">
                {b.version}
              </th>
              <th scope="col">95% intervals</th>
            </tr>
          </thead>
          <tbody>
            {MEASURES.map(({ name, label, hint, format }) => {
              const ours = interval(a.metrics, name);
              const theirs = interval(b.metrics, name);
              const from = scaleFrom(ours, theirs);
              return (
                <tr key={name}>
                  <th scope="row">
                    {label}
                    <small>{hint}</small>
                  </th>
                  {[ours, theirs].map((one, at) => (
                    <td key={at === 0 ? "first" : "second"} class="number">
                      {format(one.value)}
                      {one.low !== null && <small>{ends(format, one)}</small>}
                      {one.reason && <small>{one.reason}</small>}
                    </td>
                  ))}
                  <td>
                    {ours.low !== null && (
                      <>
                        <Whisker of={ours} from={from} to={1} />
                        <Whisker of={theirs} from={from} to={1} second />
                      </>
                    )}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scroll>
    </>
  );
}

function Recipes({ of: [a, b] }: { of: readonly [Model, Model] }) {
  const { changed, same } = recipeChanges(loose(a.metadata.recipe), loose(b.metadata.recipe));
  if (changed.length === 0) {
    return <Empty title={same > 0 ? "Same recipe" : "No recipe on record"} />;
  }
  return (
    <Scroll label="Table of recipes">
      <table>
        <caption class="hint">
          {changed.length} of {changed.length + same} settings differ.
        </caption>
        <thead>
          <tr>
            <th scope="col">Setting</th>
            <th scope="col">{a.version}</th>
            <th scope="col">{b.version}</th>
          </tr>
        </thead>
        <tbody>
          {changed.map(({ name, ours, theirs }) => (
            <tr key={name}>
              <th scope="row">{withSpaces(name)}</th>
              <td>{ours}</td>
              <td>{theirs}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
