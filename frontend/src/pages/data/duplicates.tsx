/** Images that are there more than once, those first whose labels contradict each other. */
import type { Schemas } from "../../api/client";
import { className, count, plural } from "../../format";
import { FirstOf } from "./more";
import { Thumb } from "./thumb";
import { BAIT, doubtedFirst, labelOfKey, TONES } from "./words";

const FAMILIES_SHOWN = 6;

export function Duplicates({ of: { identical, near } }: { of: Schemas["Duplicates"] }) {
  return (
    <section aria-labelledby="duplicates">
      <h2 id="duplicates" tabIndex={-1}>
        Duplicates
      </h2>
      {identical.families + near.families === 0 ? (
        <p class="hint">No image is there twice, and no two look the same.</p>
      ) : (
        <>
          <p class="hint">
            A training takes one of each family, so copies do no harm; a family under both labels is
            left out whole. Delete the copy with the wrong label from the data bucket.
          </p>
          <Families title="The same bytes" of={identical} />
          <Families
            title="The same looks"
            of={near}
            note={`Saved again or scaled; compared were the newest ${count(near.compared)}.`}
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
          {plural(images, "image")} in {plural(families, "family", "families")}. {note}
        </small>
      </h3>
      <FirstOf items={doubtedFirst(items)} shown={FAMILIES_SHOWN} name="families">
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

function Family({ of: { images, labels, keys, looks } }: { of: Schemas["Family"] }) {
  const doubted = labels.length > 1;
  const unseen = keys.slice(looks.length);
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
        {looks.map(({ key, url }) => (
          <Thumb key={key} of={key} url={url}>
            {doubted && (
              <span class={`tag ${TONES[labelOfKey(key)]}`}>{className(labelOfKey(key))}</span>
            )}
          </Thumb>
        ))}
      </div>
      {images > looks.length && (
        <details>
          <summary>{plural(images - looks.length, "more", "more")}</summary>
          <ul class="keys">
            {unseen.map((key) => (
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
