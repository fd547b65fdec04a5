/** A stored image in one shape with its file name below; what cannot be seen is a name alone. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { fileOf } from "./words";

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
  // An address works for five minutes: one that failed may be followed by one that works.
  const [failed, setFailed] = useState<string | null>(null);
  const name = fileOf(of);
  return (
    <figure class="thumb">
      {url && failed !== url ? (
        <a href={url} target="_blank" rel="noreferrer">
          <img
            src={url}
            alt={name}
            width="320"
            height="180"
            loading="lazy"
            decoding="async"
            onError={() => setFailed(url)}
          />
        </a>
      ) : (
        <div class="thumb-none">{url ? "no picture" : "not here"}</div>
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
