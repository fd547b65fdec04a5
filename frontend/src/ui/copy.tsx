/** A text to copy with one press. */
import { useEffect, useState } from "preact/hooks";
import { announce } from "./announce";
import { CopyIcon } from "./icons";

/** How long the button shows that it worked. */
const DONE_MS = 1_500;

/** Returns whether it worked. Addresses without HTTPS have no clipboard, but this older way. */
async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    field.className = "unseen";
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}

/** Whether the text was just copied, and the function that does it. */
function useCopy(text: string, label: string): [boolean, () => void] {
  const [copied, setCopied] = useState(false);
  useEffect(() => {
    if (!copied) return;
    const timer = setTimeout(() => setCopied(false), DONE_MS);
    return () => clearTimeout(timer);
  }, [copied]);
  const copy = async () => {
    const done = await copyText(text);
    setCopied(done);
    announce(
      done ? `${label} copied` : "This browser does not let the page copy. Select the text.",
    );
  };
  return [copied, () => void copy()];
}

export function Copy({ text, label }: { text: string; label: string }) {
  const [copied, copy] = useCopy(text, label);
  return (
    <button type="button" class="copy" title={`Copy the ${label}`} onClick={copy}>
      <CopyIcon />
      <span class="unseen">Copy the {label}:</span>
      <code>{copied ? "Copied" : text}</code>
    </button>
  );
}

/** Copies a text that stands beside it. */
export function CopyButton({ text, label }: { text: string; label: string }) {
  const [copied, copy] = useCopy(text, label);
  return (
    <button type="button" class="secondary small copy-button" onClick={copy}>
      <CopyIcon />
      {copied ? "Copied" : "Copy"}
      <span class="unseen"> the {label}</span>
    </button>
  );
}
