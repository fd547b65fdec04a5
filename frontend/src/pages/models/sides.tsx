/** How many images of each class a version was trained, validated and tested with. */
import { className, count } from "../../format";
import { Scroll } from "../../ui/scroll";
import { loose, numberOr } from "./metrics";

const SIDES = [
  { side: "train", name: "To train" },
  { side: "validation", name: "To validate" },
  { side: "test", name: "To test" },
] as const;

/** `of`: images by side and class, as `metadata.images` has them. */
export function Sides({ of }: { of: Record<string, unknown> }) {
  const labels = Object.keys(loose(of.train));
  return (
    <Scroll label="Table of images by side">
      <table>
        <caption class="hint">An image that has a side keeps it in every later training.</caption>
        <thead>
          <tr>
            <th scope="col">Images</th>
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
