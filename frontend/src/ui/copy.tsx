/** A text to copy with one press. */
import { useEffect, useState } from "preact/hooks";
import { announce } from "./announce";
import { CopyIcon } from "./icons";

/** How long the button shows that it worked. */
const DONE_MS = 1_500;

export function Copy({ text, label }: { text: string; label: string }) {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), DONE_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    await navigator.clipboard.writeText(text);
    setCopied(true);
    announce(`${label} copied`);
  };
  return (
    <button type="button" class="copy" title={`Copy the ${label}`} onClick={() => void copy()}>
      <CopyIcon />
      <span class="unseen">Copy the {label}:</span>
      <code>{copied ? "Copied" : text}</code>
    </button>
  );
}
