/** Thousands of images as a grid: only the rows in view are drawn. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { className, percent } from "../../../format";
import type { Image } from "./image";
import { drawn, layoutOf, moved } from "./rows";

/** Pixels at the window's edges that the header and the bars cover. */
const COVERED = { top: 72, bottom: 96 };

const optionId = (at: number) => `image-${at}`;

function Tile({
  of,
  at,
  count,
  active,
  picked,
  onBroken,
}: {
  of: Image;
  at: number;
  /** Of all tiles; -1 if unknown. */
  count: number;
  active: boolean;
  picked: boolean;
  onBroken: () => void;
}) {
  const [failed, setFailed] = useState<string | null>(null);
  return (
    <div
      id={optionId(at)}
      role="option"
      tabIndex={-1}
      aria-selected={picked}
      aria-posinset={at + 1}
      aria-setsize={count}
      data-at={at}
      class={`tile ${active ? "active" : ""} ${picked ? "picked" : ""}`}
    >
      <span class="tile-pick" aria-hidden="true" />
      {of.url && failed !== of.url ? (
        <img
          src={of.url}
          alt=""
          width="320"
          height="180"
          decoding="async"
          onError={() => {
            setFailed(of.url);
            onBroken();
          }}
        />
      ) : (
        <span class="thumb-none">No picture</span>
      )}
      <span class="tile-line">
        {of.rejected ? (
          <span class="tag bad">Rejected</span>
        ) : (
          <span class={`tag ${of.label === "clickbait_fake" ? "bait" : "real"}`}>
            {className(of.label)}
          </span>
        )}
        {of.probability !== null && (
          <small class={of.disagrees ? "warn" : ""}>
            <span class="unseen">{of.disagrees ? "Model disagrees: " : "Model: "}</span>
            {of.disagrees && <span aria-hidden="true">≠ </span>}
            {percent(of.probability, 0)}
          </small>
        )}
      </span>
      <span class="thumb-name">{of.name}</span>
    </div>
  );
}

/** The window's scroll position and height, in pixels. */
function useView(): { top: number; height: number } {
  const now = () => ({ top: scrollY, height: innerHeight });
  const [view, setView] = useState(now);
  useEffect(() => {
    const follow = () => setView(now());
    addEventListener("scroll", follow, { passive: true });
    addEventListener("resize", follow);
    return () => {
      removeEventListener("scroll", follow);
      removeEventListener("resize", follow);
    };
  }, []);
  return view;
}

export function Grid({
  items,
  complete,
  active,
  picked,
  onActive,
  onOpen,
  onPick,
  onKey,
  onEnd,
  onBroken,
}: {
  items: readonly Image[];
  /** Whether there are no more than these. */
  complete: boolean;
  active: number;
  picked: ReadonlySet<string>;
  onActive: (at: number) => void;
  onOpen: (at: number) => void;
  /** `through`: from the last one that was picked to this one. */
  onPick: (at: number, through: boolean) => void;
  /** Any other key; returns whether it meant something. */
  onKey: (event: KeyboardEvent) => boolean;
  /** The last rows are in view. */
  onEnd: () => void;
  onBroken: (id: string) => void;
}) {
  const place = useRef<HTMLDivElement>(null);
  const [width, setWidth] = useState(0);
  const view = useView();
  useLayoutEffect(() => {
    const grid = place.current!;
    const follow = new ResizeObserver(() => setWidth(grid.clientWidth));
    follow.observe(grid);
    setWidth(grid.clientWidth);
    return () => follow.disconnect();
  }, []);
  const { columns, row } = layoutOf(width);
  const rows = Math.ceil(items.length / columns);
  const top = place.current ? place.current.getBoundingClientRect().top : 0;
  const { first, end } = drawn(-top, view.height, row, rows);
  const last = end >= rows;
  useEffect(() => {
    if (last && !complete) onEnd();
  }, [last, complete, items.length]);

  const shown = active >= first * columns && active < end * columns && active < items.length;
  const show = (at: number) => {
    onActive(at);
    const above = place.current!.getBoundingClientRect().top + Math.floor(at / columns) * row;
    if (above < COVERED.top) scrollBy(0, above - COVERED.top);
    else if (above + row > innerHeight - COVERED.bottom) {
      scrollBy(0, above + row - innerHeight + COVERED.bottom);
    }
  };
  const tileOf = (event: Event): number | undefined => {
    const tile = (event.target as Element).closest<HTMLElement>("[data-at]");
    return tile ? Number(tile.dataset.at) : undefined;
  };
  return (
    // The tiles are drawn and dropped while the focus stays on the grid.
    <div
      ref={place}
      class="grid"
      role="listbox"
      aria-label="Images"
      aria-multiselectable="true"
      tabIndex={0}
      {...(shown ? { "aria-activedescendant": optionId(active) } : {})}
      style={{ height: `${rows * row}px` }}
      onMouseDown={(event) => {
        event.preventDefault();
        place.current?.focus({ preventScroll: true });
      }}
      onClick={(event) => {
        const at = tileOf(event);
        if (at === undefined) return;
        onActive(at);
        const pick = (event.target as Element).closest(".tile-pick");
        if (pick || event.ctrlKey || event.metaKey || event.shiftKey) onPick(at, event.shiftKey);
        else onOpen(at);
      }}
      onKeyDown={(event) => {
        const to =
          event.ctrlKey || event.metaKey || event.altKey
            ? undefined
            : moved(event.key, active, columns, items.length);
        if (to !== undefined) show(to);
        else if (event.key === " ") onPick(active, event.shiftKey);
        else if (event.key === "Enter") onOpen(active);
        else if (!onKey(event)) return;
        event.preventDefault();
      }}
    >
      <div
        role="presentation"
        class="grid-rows"
        style={{
          transform: `translateY(${first * row}px)`,
          gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))`,
          gridAutoRows: `${row}px`,
        }}
      >
        {items.slice(first * columns, end * columns).map((image, nth) => {
          const at = first * columns + nth;
          return (
            <Tile
              key={image.id}
              of={image}
              at={at}
              count={complete ? items.length : -1}
              active={at === active}
              picked={picked.has(image.id)}
              onBroken={() => onBroken(image.id)}
            />
          );
        })}
      </div>
    </div>
  );
}
