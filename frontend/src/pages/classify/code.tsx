/** "Use this from code": the last request in three languages, to copy. */
import { useState } from "preact/hooks";
import { config } from "../../api/session";
import { CopyButton } from "../../ui/copy";
import { snippets } from "./snippets";

export function Code({ names }: { names: readonly string[] }) {
  const [chosen, setChosen] = useState(0);
  const all = snippets(config.value.api, names);
  const shown = all[chosen];
  if (!shown) return null;
  return (
    <details class="use-code">
      <summary>Use this from code</summary>
      <div class="row apart">
        <fieldset class="tabs" aria-label="Language">
          {all.map(({ language }, at) => (
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
        Single images and up to ten at once need no token.{" "}
        <a href={`${config.value.api}/docs`} target="_blank" rel="noreferrer">
          API documentation
        </a>
      </p>
    </details>
  );
}
