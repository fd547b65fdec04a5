/** An image by a signed link that works for five minutes. */
import { useEffect, useState } from "preact/hooks";

/**
 * The first link stays in use while it works, because each response of the API has another one, and
 * the browser would load the image again. `refresh` loads a new link.
 */
export function ExpiringImage({
  url,
  alt,
  refresh,
}: {
  url: string;
  alt: string;
  refresh: () => void;
}) {
  const [used, setUsed] = useState(url);
  const [state, setState] = useState<"shown" | "failed" | "refreshing">("shown");
  useEffect(() => {
    if (state !== "refreshing" || url === used) return;
    setUsed(url);
    setState("shown");
  }, [url, state]);
  if (state === "shown") {
    return (
      <a class="stored" href={used} target="_blank" rel="noreferrer">
        <img src={used} alt={alt} loading="lazy" onError={() => setState("failed")} />
      </a>
    );
  }
  return (
    <div class="stored none">
      <button
        type="button"
        class="secondary small"
        aria-busy={state === "refreshing"}
        onClick={() => {
          setState("refreshing");
          refresh();
        }}
      >
        Refresh
      </button>
      <small>The link has expired. Links work for five minutes.</small>
    </div>
  );
}
