/** Back and Forward return to the same place of a page whose list loads after it appears. */
import { useLayoutEffect } from "preact/hooks";

/** Pixels from the top, for each entry of the tab's history that had such a list. */
const places = new Map<string, number>();

/** The name of this entry of the history. It gets one if it has none. */
function entry(): string {
  const known: unknown = history.state?.place;
  if (typeof known === "string") return known;
  const place = crypto.randomUUID();
  history.replaceState({ ...history.state, place }, "");
  return place;
}

/** Return to where the reader was once the list of this address is there (`ready`), and note where
 * they go. A layout effect, because the scrolling of the next page must not count as theirs. */
export function useKeptScroll(ready: boolean): void {
  const { href } = location;
  useLayoutEffect(() => {
    if (!ready) return;
    const here = entry();
    const top = places.get(here);
    if (top !== undefined) scrollTo({ top, behavior: "instant" });
    const note = () => places.set(here, scrollY);
    addEventListener("scroll", note, { passive: true });
    return () => removeEventListener("scroll", note);
  }, [href, ready]);
}
