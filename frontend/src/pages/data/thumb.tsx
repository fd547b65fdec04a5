/** A stored image in a fixed shape with its file name below; without a picture, the name alone. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { fileOf } from "./descriptions";

/**
 * The link to load. A link works for five minutes, so a new one comes with each answer. The first
 * is kept until it fails: another one would only load the picture again.
 */
export const linkOf = (
  kept: string | null,
  failed: string | null,
  url: string | null,
): string | null => (kept === null || kept === failed ? url : kept);

export function Thumb({
  of,
  url,
  children,
}: {
  /** Key or file of the image. */
  of: string;
  url: string | null;
  children?: ComponentChildren;
}) {
  const [kept, setKept] = useState(url);
  const [failed, setFailed] = useState<string | null>(null);
  const link = linkOf(kept, failed, url);
  if (link !== kept) setKept(link);
  const name = fileOf(of);
  return (
    <figure class="thumb">
      {url && link && link !== failed ? (
        <a href={url} target="_blank" rel="noreferrer">
          <img
            src={link}
            alt={name}
            width="320"
            height="180"
            loading="lazy"
            decoding="async"
            onError={() => setFailed(link)}
          />
        </a>
      ) : (
        <div class="thumb-none">{url ? "No picture" : "Not stored"}</div>
      )}
      <figcaption>
        {children}
        <span class="thumb-name" title={of}>
          {name}
        </span>
      </figcaption>
    </figure>
  );
}
