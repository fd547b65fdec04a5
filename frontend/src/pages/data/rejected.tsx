/** Rejected files, and why. */
import type { Schemas } from "../../api/client";
import { count } from "../../format";
import { FirstOf } from "./first-of";
import { Thumb } from "./thumb";

const REJECTED_SHOWN = 12;

/** A problem's name, `broken-image`, as the beginning of a sentence. */
const sentence = (slug: string) => `${slug[0]?.toUpperCase()}${slug.slice(1).replaceAll("-", " ")}`;

export function Rejected({ of: { images, items } }: { of: Schemas["RejectedImages"] }) {
  return (
    <section aria-labelledby="rejected">
      <h2 id="rejected" tabIndex={-1}>
        Rejected files
      </h2>
      {images === 0 ? (
        <p class="hint">None: every file could be used.</p>
      ) : (
        <>
          <p class="hint">
            Neither trained on nor classified; kept in <code>rejected/</code> of the data bucket.
            Fix them and upload them again.
          </p>
          <FirstOf items={items} shown={REJECTED_SHOWN} name="files">
            {(some) => (
              <ul class="rejected">
                {some.map(({ key, reason, detail, url }) => (
                  <li key={key}>
                    <Thumb of={key} url={url} />
                    <div>
                      <strong>{sentence(reason)}</strong>
                      <p>{detail}</p>
                      <small>
                        Uploaded as <code>{key}</code>
                      </small>
                    </div>
                  </li>
                ))}
              </ul>
            )}
          </FirstOf>
          {images > items.length && (
            <p class="hint">
              First {count(items.length)} of {count(images)}, by name.
            </p>
          )}
        </>
      )}
    </section>
  );
}
