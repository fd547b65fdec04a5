/** How many images of each class are in the training, validation and test splits of a version. */
import { className, count } from "../../format";
import { Scroll } from "../../ui/scroll";
import { loose, numberOr } from "./metrics";

const SIDES = [
  { side: "train", name: "Training" },
  { side: "validation", name: "Validation" },
  { side: "test", name: "Test" },
] as const;

/** `of`: counts by split and class, as in `metadata.images`. */
export function Sides({ of }: { of: Record<string, unknown> }) {
  const labels = Object.keys(loose(of.train));
  return (
    <Scroll label="Table of splits">
      <table>
        <caption class="hint">Each image stays in its split.</caption>
        <thead>
          <tr>
            <th scope="col">Split</th>
            {labels.map((label) => (
              <th key={label} scope="col" class="number">
                {className(label)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {SIDES.map(({ side, name }) => (
            <tr key={side}>
              <th scope="row">{name}</th>
              {labels.map((label) => (
                <td key={label} class="number">
                  {count(numberOr(loose(of[side])[label]))}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}
