/** Light or dark: as the system is, or as this browser's user chose. */
import { computed, signal } from "@preact/signals";

export const SCHEMES = ["auto", "light", "dark"] as const;
export type Scheme = (typeof SCHEMES)[number];

const KEPT = "scheme";
const system = matchMedia("(prefers-color-scheme: dark)");
const systemDark = signal(system.matches);
system.addEventListener("change", () => {
  systemDark.value = system.matches;
});

export const scheme = signal<Scheme>("auto");

/** Whether the page is dark now. */
export const dark = computed(() =>
  scheme.value === "auto" ? systemDark.value : scheme.value === "dark",
);

/** Show the page as it was chosen. Without a choice nothing is kept. */
export function findScheme(): void {
  const kept = localStorage.getItem(KEPT);
  if (kept === "light" || kept === "dark") show(kept);
}

export function chooseScheme(next: Scheme): void {
  if (next === "auto") localStorage.removeItem(KEPT);
  else localStorage.setItem(KEPT, next);
  show(next);
}

function show(next: Scheme): void {
  scheme.value = next;
  const { dataset } = document.documentElement;
  if (next === "auto") delete dataset.theme;
  else dataset.theme = next;
}
