/** The live model: loaded once, and again when a result has another version. */
import { computed, signal } from "@preact/signals";
import { api, ask, type Schemas } from "../api/client";
import { percent } from "../format";

export const info = signal<Schemas["ModelInfoAnswer"] | null>(null);

export interface Band {
  low: number;
  high: number;
  promise: number;
}

/** A band as the API gives it. The promise is its upper end if it is not stored. */
export function bandOf(given: unknown): Band {
  const { low = 0.25, high = 0.75, promise } = (given ?? {}) as Partial<Band>;
  return { low, high, promise: promise ?? high };
}

/** Between these probabilities the live model is right less often than its promise. */
export const band = computed<Band>(() => bandOf(info.value?.uncertain_band));

/** The meaning of “uncertain” in words: "between 25% and 75%, where it is right less than 75% of the time". */
export const bandText = ({ low, high, promise }: Band): string =>
  `between ${percent(low)} and ${percent(high)}, where it is right less than ${percent(promise)} of the time`;

/** Load `info` unless it is of `version` already; a failure leaves it unchanged. */
export async function learn(version?: string): Promise<void> {
  if (version !== undefined && info.value?.model_version === version) return;
  info.value = await ask(api().GET("/model-info"));
}
