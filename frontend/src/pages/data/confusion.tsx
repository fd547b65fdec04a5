/** What the images are against what they were called: each cell the darker, the more it holds. */
import { count, percent } from "../../format";
import type { Counts } from "./curves";

const NAMES = ["legitimate", "clickbait"] as const;

export function Confusion({ of }: { of: Counts }) {
  const most = Math.max(1, ...of.flat());
  return (
    <table class="confusion">
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
