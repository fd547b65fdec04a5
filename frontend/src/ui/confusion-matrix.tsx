/** What the images are against what the model called them: the more images, the darker the cell. */
import { count, percent } from "../format";
import "./confusion-matrix.css";

/** Images by true class (rows) and predicted class (columns): legitimate, then clickbait. */
export type Counts = readonly [readonly [number, number], readonly [number, number]];

const NAMES = ["legitimate", "clickbait"] as const;

/** The counts in the order legitimate, clickbait, whatever the order of `labels`. */
export function countsOf({ labels, counts }: { labels: string[]; counts: number[][] }): Counts {
  const bait = labels.indexOf("clickbait_fake");
  const order = [1 - bait, bait] as const;
  const at = (row: number, column: number) => counts[row]?.[column] ?? 0;
  return order.map((row) => order.map((column) => at(row, column))) as unknown as Counts;
}

export function ConfusionMatrix({ of, caption }: { of: Counts; caption?: string }) {
  const most = Math.max(1, ...of.flat());
  return (
    <table class="confusion">
      {caption && <caption class="hint">{caption}</caption>}
      <thead>
        <tr>
          <td />
          {NAMES.map((name) => (
            <th key={name} scope="col">
              Called {name}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {of.map((row, is) => (
          <tr key={NAMES[is]}>
            <th scope="row">Is {NAMES[is]}</th>
            {row.map((images, called) => (
              <td
                key={NAMES[called]}
                class={is === called ? "right" : "wrong"}
                style={{ "--share": images / most }}
              >
                <strong>{count(images)}</strong>
                <small>
                  {is === called ? "right" : "wrong"}, {percent(shareOf(images, row))}
                </small>
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const shareOf = (part: number, [a, b]: readonly [number, number]): number | null =>
  a + b > 0 ? part / (a + b) : null;
