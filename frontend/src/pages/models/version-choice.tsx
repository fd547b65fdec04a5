/** A link to each version, found by its name or date: for a page that shows one of them. */
import { useEffect, useState } from "preact/hooks";
import { api, ask, type Schemas } from "../../api/client";
import { useLoad } from "../../api/use-load";
import { dateTime } from "../../format";
import { Shown } from "../../ui/state";
import { PAUSE_MS, SearchField } from "./find";

/** Versions in the list: more are found by a search. */
const SHOWN = 20;

/** `text` after PAUSE_MS without a change. */
function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

function Found({
  version,
  hrefOf,
}: {
  version: string;
  hrefOf: (one: Schemas["ModelSummary"]) => string;
}) {
  const [text, setText] = useState("");
  const q = useSettled(text.trim());
  const found = useLoad(
    (signal) => ask(api().GET("/models", { params: { query: { q, limit: SHOWN } }, signal })),
    [q],
  );
  return (
    <>
      <SearchField label="Find a version by name or date" onFind={setText} />
      <Shown of={found} label="Loading versions">
        {({ items, total }) => (
          <>
            <ul>
              {items.map((one) => (
                <li key={one.version}>
                  <a
                    href={hrefOf(one)}
                    {...(one.version === version ? { "aria-current": "true" as const } : {})}
                  >
                    {one.starred && "★ "}
                    {one.name ?? one.version}
                  </a>{" "}
                  <small>
                    {one.live && "live, "}
                    {one.name && `${one.version}, `}
                    {one.training_date && `trained ${dateTime(one.training_date)}`}
                  </small>
                </li>
              ))}
            </ul>
            <p class="hint" role="status">
              {total === 0
                ? "No version found"
                : total > items.length && `${items.length} of ${total}: search for the others`}
            </p>
          </>
        )}
      </Shown>
    </>
  );
}

export function VersionChoice({
  version,
  live,
  hrefOf,
}: {
  version: string;
  live: boolean;
  hrefOf: (one: Schemas["ModelSummary"]) => string;
}) {
  const [open, setOpen] = useState(false);
  return (
    <details class="version-choice" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        Version <span class="id">{version}</span>
        {live && ", live"} <small>change</small>
      </summary>
      {open && <Found version={version} hrefOf={hrefOf} />}
    </details>
  );
}
