/** Which API this page talks to, and the admin's token for as long as the tab is open. */
import { computed, signal } from "@preact/signals";

export interface Config {
  /** The API's address, without a slash at its end. */
  api: string;
  /** `public`: what is not for admins is for anybody. */
  access: "private" | "public";
}

const KEPT = "token";
const IN_ADDRESS = /^#token=([A-Za-z0-9._~-]+)$/;

export const config = signal<Config>({ api: "", access: "private" });
export const token = signal<string | null>(null);

/** Whether the service has refused the last token that this tab had. */
export const refused = signal(false);

/** Whether members' routes may be called: nothing asks for them before. */
export const member = computed(() => config.value.access === "public" || token.value !== null);
export const admin = computed(() => token.value !== null);

/** Read `config.json`, which says where the API is; throws TypeError where it cannot be read. */
export async function readConfig(): Promise<void> {
  const answer = await fetch("/config.json", { credentials: "same-origin" });
  const told = (await answer.json()) as Partial<Config>;
  if (!answer.ok || !told.api) throw new TypeError("config.json names no API");
  config.value = { api: told.api.replace(/\/+$/, ""), access: told.access ?? "private" };
}

/** Take the token from the address (`#token=...`), and out of it, or from this tab's session. */
export function findToken(): void {
  const given = IN_ADDRESS.exec(location.hash)?.[1];
  if (given) {
    history.replaceState(history.state, "", location.pathname + location.search);
    keepToken(given);
  } else {
    token.value = sessionStorage.getItem(KEPT);
  }
}

export function keepToken(given: string): void {
  sessionStorage.setItem(KEPT, given);
  refused.value = false;
  token.value = given;
}

/** The service does not know the token: what needs one asks for another. */
export function refuseToken(): void {
  forgetToken();
  refused.value = true;
}

export function forgetToken(): void {
  sessionStorage.removeItem(KEPT);
  token.value = null;
}
