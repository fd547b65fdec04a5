/** Whether the service answers: asked now and then while the page is seen. */
import { signal } from "@preact/signals";
import { api, ask, type Schemas } from "../api/client";
import { learn } from "./model";

export const health = signal<"unknown" | "up" | "down">("unknown");
export const status = signal<Schemas["StatusAnswer"] | null>(null);

const EVERY_MS = 30_000;

/** Ask `/status` once; whatever else was answered meanwhile counts as well. */
export async function look(): Promise<void> {
  try {
    const told = await ask(api().GET("/status"));
    status.value = told;
    health.value = "up";
    await learn(told.model_version);
  } catch {
    health.value = "down";
  }
}

/** Look every half minute; returns how to stop. */
export function watchHealth(): () => void {
  void look();
  const timer = setInterval(() => {
    if (!document.hidden) void look();
  }, EVERY_MS);
  return () => clearInterval(timer);
}
