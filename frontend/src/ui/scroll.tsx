/** What is wider than a phone, a table mostly: it scrolls by itself, by the keyboard too. */
import type { ComponentChildren } from "preact";

export const Scroll = ({ label, children }: { label: string; children: ComponentChildren }) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: whoever has no pointer scrolls it by its keys
  <section class="scroll" aria-label={label} tabIndex={0}>
    {children}
  </section>
);
