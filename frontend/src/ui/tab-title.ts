/** The title of the browser's tab: the page's heading, or the progress of what the page follows. */
import { useEffect } from "preact/hooks";

const NAME = "Clickbait classifier";

let progress: string | null = null;

/** Set the tab's title after the page has changed; returns the page's heading. */
export function setTitle(): HTMLElement | null {
  const heading = document.querySelector<HTMLElement>("main h1");
  const text = progress ?? heading?.textContent;
  document.title = text ? `${text} · ${NAME}` : NAME;
  return heading;
}

/** Begin the tab's title with `text` while the component is shown; null: with the heading. */
export function useTitle(text: string | null): void {
  useEffect(() => {
    progress = text;
    setTitle();
    return () => {
      progress = null;
      // A page that goes away is still in the document now, with its heading.
      queueMicrotask(setTitle);
    };
  }, [text]);
}
