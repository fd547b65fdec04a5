/** The first of many items, and a button that shows the rest. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { count } from "../../format";

export function FirstOf<T>({
  items,
  shown,
  name,
  children,
}: {
  items: readonly T[];
  /** How many are shown at first. */
  shown: number;
  /** What they are, in the plural. */
  name: string;
  children: (items: readonly T[]) => ComponentChildren;
}) {
  const [all, setAll] = useState(false);
  return (
    <>
      {children(all ? items : items.slice(0, shown))}
      {items.length > shown && (
        <button type="button" class="secondary small" onClick={() => setAll(!all)}>
          {all ? "Show fewer" : `Show all ${count(items.length)}`} {name}
        </button>
      )}
    </>
  );
}
