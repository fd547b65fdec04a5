/** A stored image in a fixed shape with its file name below; without a picture, the name alone. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { fileOf } from "./descriptions";

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
  // A link works for five minutes: after one that failed, a new one may work. Until then a new one
  // would only load the picture again.
  const [kept, setKept] = useState(url);
  const [failed, setFailed] = useState<string | null>(null);
  const name = fileOf(of);
  return (
    <figure class="thumb">
      {url && failed !== url ? (
        <a href={url} target="_blank" rel="noreferrer">
          <img
            src={kept ?? url}
            alt={name}
            width="320"
            height="180"
            loading="lazy"
            decoding="async"
            onError={() => ((kept ?? url) === url ? setFailed(url) : setKept(url))}
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
