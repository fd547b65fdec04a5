/** The live model: loaded once, and again when a result has another version. */
import { computed, signal } from "@preact/signals";
import { api, ask, type Schemas } from "../api/client";

export const info = signal<Schemas["ModelInfoAnswer"] | null>(null);

interface Band {
  low: number;
  high: number;
}

/** Between these probabilities the model is right less often than its promise. */
export const band = computed<Band>(() => {
  const given = info.value?.uncertain_band as Partial<Band> | undefined;
  return { low: given?.low ?? 0.25, high: given?.high ?? 0.75 };
});

/** Load `info` unless it is of `version` already; a failure leaves it unchanged. */
export async function learn(version?: string): Promise<void> {
  if (version !== undefined && info.value?.model_version === version) return;
  info.value = await ask(api().GET("/model-info"));
}
