/** A button on a run's page that makes the model before it live again, while its own is live. */
import { useState } from "preact/hooks";
import { api, ask } from "../../api/client";
import { admin } from "../../api/session";
import { useLoad } from "../../api/use-load";
import { refreshHealth } from "../../store/health";
import { VersionName } from "./names";
import { PromoteDialog } from "./promote";

export function RollBack({ version }: { version: string }) {
  const [confirming, setConfirming] = useState(false);
  const promotions = useLoad(
    (signal) => ask(api().GET("/promotions", { params: { query: { limit: 1 } }, signal })),
    [version],
  );
  const promotion = promotions.value?.live;
  const live = promotion?.version;
  if (live && live !== version) {
    return (
      <p class="hint">
        No longer live: <VersionName of={live} /> is.
      </p>
    );
  }
  const previous = typeof promotion?.previous === "string" ? promotion.previous : null;
  if (!admin.value || !live || !previous) return null;
  return (
    <>
      <button type="button" class="secondary small" onClick={() => setConfirming(true)}>
        Roll back
      </button>
      {confirming && (
        <PromoteDialog
          version={previous}
          live={version}
          back
          onClose={() => setConfirming(false)}
          onDone={() => {
            setConfirming(false);
            promotions.reload();
            void refreshHealth();
            // After the dialog has closed: elements behind it cannot take the focus.
            requestAnimationFrame(() => document.querySelector<HTMLElement>("main h1")?.focus());
          }}
        />
      )}
    </>
  );
}
