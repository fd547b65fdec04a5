/** The images that a version learned from and was tested on, by class. */
import { className, count } from "../../format";
import { Scroll } from "../../ui/scroll";
import { loose, numberOr } from "./metrics";

const SIDES = [
  { side: "train", name: "Training" },
  { side: "validation", name: "Validation" },
  { side: "test", name: "Test" },
] as const;

const total = (of: unknown): number =>
  Object.values(loose(of)).reduce<number>((sum, n) => sum + (numberOr(n) ?? 0), 0);

/** `of`: the metadata of a version, or counts by split and class as its `images`. */
export function Learned({ of }: { of: Record<string, unknown> }) {
  const images = loose(of.images);
  const learned = Object.entries(loose(images.train));
  if (!of.small_update || learned.length === 0) return <Sides of={images} />;
  const each = learned.map(
    ([label, n]) => `${count(numberOr(n))} ${className(label).toLowerCase()}`,
  );
  return (
    <p class="hint">
      Learned from {each.join(" and ")} images of yours, and from a sample of the shipped training
      images.
      {total(images.test) === 0 &&
        " Each of your images was tested by a model that had learned without it."}
    </p>
  );
}

/** `of`: counts by split and class, as in `metadata.images`. */
function Sides({ of }: { of: Record<string, unknown> }) {
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
