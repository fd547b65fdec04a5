/** Whether the service is up: checked regularly while the page is visible. */
import { computed, signal } from "@preact/signals";
import { api, ask, type Schemas } from "../api/client";
import { learn } from "./model";

export const health = signal<"unknown" | "up" | "down">("unknown");
export const status = signal<Schemas["StatusAnswer"] | null>(null);

/** What is wrong with the model that was promoted last, in the service's words; null if nothing is. */
export const trouble = computed(() =>
  health.value === "up" ? (status.value?.problem ?? null) : null,
);

const EVERY_MS = 30_000;

/** Check `/status` once. */
export async function refreshHealth(): Promise<void> {
  try {
    const reply = await ask(api().GET("/status"));
    status.value = reply;
    health.value = "up";
    await learn(reply.model_version);
  } catch {
    health.value = "down";
  }
}

/** Check every half minute; returns a function that stops it. */
export function watchHealth(): () => void {
  void refreshHealth();
  const timer = setInterval(() => {
    if (!document.hidden) void refreshHealth();
  }, EVERY_MS);
  return () => clearInterval(timer);
}
