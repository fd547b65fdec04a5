/** A box for wide content, mostly tables: it scrolls by itself, with the keyboard too. */
import type { ComponentChildren } from "preact";

export const Scroll = ({ label, children }: { label: string; children: ComponentChildren }) => (
  // biome-ignore lint/a11y/noNoninteractiveTabindex: keyboard users must reach it to scroll
  <section class="scroll" aria-label={label} tabIndex={0}>
    {children}
  </section>
);
