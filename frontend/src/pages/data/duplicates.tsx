/** Images that occur more than once, first those with contradicting labels. */
import type { Schemas } from "../../api/client";
import { className, count, plural } from "../../format";
import { BAIT, doubtedFirst, labelOfKey, TONES } from "./descriptions";
import { FirstOf } from "./first-of";
import { Thumb } from "./thumb";

const FAMILIES_SHOWN = 6;

export function Duplicates({ of: { identical, near } }: { of: Schemas["Duplicates"] }) {
  return (
    <section aria-labelledby="duplicates">
      <h2 id="duplicates" tabIndex={-1}>
        Duplicates
      </h2>
      {identical.families + near.families === 0 ? (
        <p class="hint">No duplicates.</p>
      ) : (
        <>
          <p class="hint">
            Training uses one image of each group, so copies do no harm. A group with both labels is
            not used: delete the wrong copies from the data bucket.
          </p>
          <Families title="Identical files" of={identical} />
          <Families
            title="Near-identical images"
            of={near}
            note={`Saved again or resized; among the newest ${count(near.compared)} images.`}
          />
        </>
      )}
    </section>
  );
}

function Families({
  title,
  of: { families, images, items },
  note,
}: {
  title: string;
  of: Schemas["Families"];
  note?: string;
}) {
  if (families === 0) return null;
  return (
    <>
      <h3>
        {title}{" "}
        <small>
          {plural(images, "image")} in {plural(families, "group")}. {note}
        </small>
      </h3>
      <FirstOf items={doubtedFirst(items)} shown={FAMILIES_SHOWN} name="groups">
        {(some) => (
          <div class="tiles families">
            {some.map((family) => (
              <Family key={family.keys[0]} of={family} />
            ))}
          </div>
        )}
      </FirstOf>
    </>
  );
}

function Family({ of: { images, labels, keys, looks: samples } }: { of: Schemas["Family"] }) {
  const doubted = labels.length > 1;
  const others = keys.slice(samples.length);
  return (
    <article class={`card family ${doubted ? "notice" : ""}`}>
      <p class="row apart">
        {doubted ? (
          <strong class="bad">One of these labels is wrong</strong>
        ) : (
          <span class={`tag ${TONES[labels[0] ?? BAIT]}`}>{className(labels[0])}</span>
        )}
        <small>{plural(images, "image")}</small>
      </p>
      <div class="thumbs">
        {samples.map(({ key, url }) => (
          <Thumb key={key} of={key} url={url}>
            {doubted && (
              <span class={`tag ${TONES[labelOfKey(key)]}`}>{className(labelOfKey(key))}</span>
            )}
          </Thumb>
        ))}
      </div>
      {images > samples.length && (
        <details>
          <summary>{plural(images - samples.length, "more", "more")}</summary>
          <ul class="keys">
            {others.map((key) => (
              <li key={key}>
                <code>{key}</code>
              </li>
            ))}
          </ul>
          {images > keys.length && <p class="hint">and {count(images - keys.length)} others</p>}
        </details>
      )}
    </article>
  );
}
