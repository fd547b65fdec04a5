/** "Use this from code": what the page just did, in three languages, to copy. */
import { useState } from "preact/hooks";
import { config } from "../api/session";
import { CopyButton } from "./copy";
import type { Service, Snippet } from "./snippets";

/** The service as a program sees it that predicts. */
export const predictions = (): Service => ({
  api: config.value.api,
  secret: config.value.predictions === "keys",
});

export function Code({
  of,
  secret = predictions().secret,
}: {
  of: readonly Snippet[];
  secret?: boolean;
}) {
  const [chosen, setChosen] = useState(0);
  const shown = of[chosen];
  if (!shown) return null;
  return (
    <details class="use-code">
      <summary>Use this from code</summary>
      <div class="row apart">
        <fieldset class="tabs" aria-label="Language">
          {of.map(({ language }, at) => (
            <button
              key={language}
              type="button"
              aria-pressed={at === chosen}
              onClick={() => setChosen(at)}
            >
              {language}
            </button>
          ))}
        </fieldset>
        <CopyButton text={shown.code} label={`${shown.language} code`} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: keyboard users must reach it to scroll */}
      <pre tabIndex={0}>
        <code>{shown.code}</code>
      </pre>
      <p class="hint">
        {secret
          ? "Put your key into the variable TOKEN. "
          : "Single images and up to ten at once need no token. "}
        <a href={`${config.value.api}/docs`} target="_blank" rel="noreferrer">
          API documentation
        </a>
      </p>
    </details>
  );
}
