/** An image by an address that works for five minutes. */
import { useEffect, useState } from "preact/hooks";

/**
 * The first address stays in use while it works, for each answer of the API has another one and
 * would have the image fetched anew; `again` has the API asked for one that works.
 */
export function Look({ url, alt, again }: { url: string; alt: string; again: () => void }) {
  const [used, setUsed] = useState(url);
  const [state, setState] = useState<"shown" | "failed" | "asked">("shown");
  useEffect(() => {
    if (state !== "asked" || url === used) return;
    setUsed(url);
    setState("shown");
  }, [url, state]);
  if (state === "shown") {
    return (
      <a class="look" href={used} target="_blank" rel="noreferrer">
        <img src={used} alt={alt} loading="lazy" onError={() => setState("failed")} />
      </a>
    );
  }
  return (
    <div class="look none">
      <button
        type="button"
        class="secondary small"
        aria-busy={state === "asked"}
        onClick={() => {
          setState("asked");
          again();
        }}
      >
        Show it again
      </button>
      <small>Its address has ended: each works for five minutes.</small>
    </div>
  );
}
