/** The live model: asked for once, and again when an answer names another version. */
import { computed, signal } from "@preact/signals";
import { api, ask, type Schemas } from "../api/client";

export const info = signal<Schemas["ModelInfoAnswer"] | null>(null);

interface Band {
  low: number;
  high: number;
}

/** Between these probabilities the model is right less often than it promises. */
export const band = computed<Band>(() => {
  const told = info.value?.uncertain_band as Partial<Band> | undefined;
  return { low: told?.low ?? 0.25, high: told?.high ?? 0.75 };
});

/** Have `info` of `version`, or of whichever is live; a failure leaves what is known. */
export async function learn(version?: string): Promise<void> {
  if (version !== undefined && info.value?.model_version === version) return;
  info.value = await ask(api().GET("/model-info"));
}
