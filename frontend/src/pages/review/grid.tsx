/** Many images at once: select with clicks or keys, and label all that are selected. */
import { useRef, useState } from "preact/hooks";
import { count, percent, plural } from "../../format";
import { announce } from "../../ui/announce";
import { toneOf } from "../../ui/verdict";
import { Key, useKeys } from "./keys";
import { LabelButtons } from "./label-buttons";
import { ARROWS, moved } from "./moved";
import { between, type Choice } from "./queue";
import { type Feed, queue } from "./session";
import { actText, type Item } from "./words";

/** How many options are in the first row. */
function columnsOf(list: HTMLElement): number {
  const options = [...list.children] as HTMLElement[];
  const top = options[0]?.offsetTop;
  const wrap = options.findIndex((one) => one.offsetTop !== top);
  return wrap < 0 ? options.length : wrap;
}

function Option({
  of,
  selected,
  focusable,
  onSelect,
  onExpired,
}: {
  of: Item;
  selected: boolean;
  focusable: boolean;
  onSelect: (range: boolean) => void;
  onExpired: () => void;
}) {
  const tone = toneOf({
    prediction: of.probability >= 0.5 ? "clickbait_fake" : "clickbait_real",
    uncertain: of.uncertain,
  });
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: the list handles the keys of all its options
    <div
      role="option"
      aria-selected={selected}
      tabIndex={focusable ? 0 : -1}
      onClick={(event) => onSelect(event.shiftKey)}
    >
      <img src={of.url} alt="" loading="lazy" draggable={false} onError={onExpired} />
      <span class="thumb-name">{of.name}</span>
      <span class={`tag ${tone}`}>
        {percent(of.probability)}
        <span class="unseen">clickbait</span>
      </span>
    </div>
  );
}

export function Grid({ feed }: { feed: Feed }) {
  const { value: images } = queue.waiting;
  const [marked, setMarked] = useState<ReadonlySet<string>>(new Set());
  const [at, setAt] = useState(0);
  const [expired, setExpired] = useState(false);
  const anchor = useRef<string | null>(null);
  const list = useRef<HTMLDivElement>(null);
  const selected = images.filter(({ id }) => marked.has(id)).map(({ id }) => id);
  const current = Math.min(at, Math.max(0, images.length - 1));

  const focus = (place: number) => {
    setAt(place);
    // After the list has changed.
    requestAnimationFrame(() => (list.current?.children[place] as HTMLElement)?.focus());
  };
  const select = (place: number, range: boolean) => {
    const { id } = images[place] as Item;
    const next = new Set(selected);
    if (range) for (const one of between(images, anchor.current, id)) next.add(one);
    else if (!next.delete(id)) next.add(id);
    if (!range) anchor.current = id;
    setMarked(next);
    setAt(place);
    announce(`${count(next.size)} selected`);
  };
  const act = (choice: Choice) => {
    const inside = list.current?.contains(document.activeElement);
    const first = images.findIndex(({ id }) => marked.has(id));
    const taken = queue.act(selected, choice);
    if (taken === 0) {
      announce("Select images first");
      return;
    }
    setMarked(new Set());
    anchor.current = null;
    announce(actText(choice, new Array<string>(taken).fill("1 image")));
    const left = queue.waiting.value.length;
    if (inside && left > 0) focus(Math.min(first, left - 1));
  };
  const undo = () => {
    const last = queue.undo();
    if (last) setMarked(new Set(last.images.map(({ id }) => id)));
    announce(last ? `Undone: ${plural(last.images.length, "image")}` : "Nothing to undo");
  };
  useKeys({
    "1": () => act("clickbait_fake"),
    "2": () => act("clickbait_real"),
    a: () => setMarked(new Set(images.map(({ id }) => id))),
    Escape: () => setMarked(new Set()),
    z: undo,
  });
  const press = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !list.current) return;
    if (ARROWS.includes(event.key)) {
      event.preventDefault();
      const to = moved(event.key, current, columnsOf(list.current), images.length);
      if (event.shiftKey) {
        anchor.current ??= images[current]?.id ?? null;
        select(to, true);
      }
      focus(to);
    } else if (event.key === " " || event.key === "Enter") {
      event.preventDefault();
      select(current, event.shiftKey);
    }
  };
  const none = selected.length === 0;
  return (
    <>
      <div class="row review-actions grid-actions">
        {images.length > 0 && <LabelButtons disabled={none} onLabel={act} />}
        <button
          type="button"
          class="secondary"
          disabled={queue.acts.value.length === 0}
          onClick={undo}
        >
          Undo <Key name="z" />
        </button>
        {images.length > 0 && (
          <span class="selection">
            {count(selected.length)} of {count(images.length)} selected.{" "}
            <button
              type="button"
              class="link"
              onClick={() => setMarked(new Set(none ? images.map(({ id }) => id) : []))}
            >
              {none ? "Select all" : "Clear"}
            </button>
          </span>
        )}
      </div>
      {expired && (
        <p class="hint" role="status">
          Links to images work for five minutes, and some have expired.{" "}
          <button
            type="button"
            class="link"
            onClick={() => {
              setExpired(false);
              feed.reload();
            }}
          >
            Load them again
          </button>
        </p>
      )}
      {images.length > 0 && (
        <div
          ref={list}
          class="thumbs"
          role="listbox"
          aria-multiselectable="true"
          aria-label="Images to review"
          onKeyDown={press}
        >
          {images.map((one, place) => (
            <Option
              key={one.id}
              of={one}
              selected={marked.has(one.id)}
              focusable={place === current}
              onSelect={(range) => select(place, range)}
              onExpired={() => setExpired(true)}
            />
          ))}
        </div>
      )}
      {feed.more && images.length > 0 && (
        <button type="button" class="secondary small" onClick={feed.more}>
          Show more images
        </button>
      )}
    </>
  );
}
