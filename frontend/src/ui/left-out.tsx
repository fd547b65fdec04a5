/** Chosen files that got no answer, by name and with the reason: a list that stays. */
import { count, plural } from "../format";
import type { LeftOut } from "../upload/names";

/** Files that are listed by name; the others are only counted. */
const NAMED = 200;
/** So few are shown without a press. */
const FEW = 5;

export function LeftOutFiles({ of }: { of: readonly LeftOut[] }) {
  if (of.length === 0) return null;
  return (
    <details class="left-out" open={of.length <= FEW}>
      <summary>{plural(of.length, "file")} skipped</summary>
      <ul>
        {of.slice(0, NAMED).map(({ name, why }) => (
          <li key={name}>
            <span class="file-name">{name}</span> <small>{why}</small>
          </li>
        ))}
        {of.length > NAMED && <li>… and {count(of.length - NAMED)} more</li>}
      </ul>
    </details>
  );
}
