/**
 * The API that this page talks to, and the admin token or a key: for as long as a tab is open, or on
 * this device if the person chooses that. Tabs share it, and signing out ends it in all of them.
 */
import { batch, computed, signal } from "@preact/signals";
import { Problem } from "./problem";

export interface Config {
  /** The API's address, without a slash at its end. */
  api: string;
  /** `private`: every route that needs a token needs it here; `public`: only admin routes do. */
  access: "private" | "public";
  /** `keys`: predictions need a key or the token too. */
  predictions: "open" | "keys";
  /** The stack's name, for commands that the page shows. */
  stack: string;
  /** The pages whose routes the service has; without it, all. */
  pages?: readonly string[] | undefined;
}

const KEPT = "token";
const IN_ADDRESS = /^#token=([A-Za-z0-9._~-]*)/;

/** A message between tabs of this page. `out` with a token is for tabs that have that token. */
type Message = { kind: "ask" } | { kind: "token"; token: string } | { kind: "out"; token?: string };

const tabs = new BroadcastChannel("session");
const tell = (message: Message): void => tabs.postMessage(message);

export const config = signal<Config>({
  api: "",
  access: "private",
  predictions: "open",
  stack: "STACK",
});
export const token = signal<string | null>(null);

/** True if the service refused this tab's last token: what was on the page stays there. */
export const refused = signal(false);

/** Whether the form for the token is open. */
export const signingIn = signal(false);

/** True if members' routes may be called: the page never calls them in vain. */
export const member = computed(() => config.value.access === "public" || token.value !== null);
/** True if predictions may be requested. */
export const predictor = computed(
  () => config.value.predictions === "open" || token.value !== null,
);
export const admin = computed(() => token.value !== null && !isKey(token.value));

/** True for a key, which may do less than the admin token. */
export const isKey = (text: string): boolean => text.startsWith("cbk_");

/** Read `config.json`, which has the API's address; throws what `asProblem` explains. */
export async function readConfig(): Promise<void> {
  const response = await fetch("/config.json", { credentials: "same-origin" });
  const given = (await response.json()) as Partial<Config>;
  const { api, access = "private", predictions = "open", stack = "STACK", pages } = given;
  if (!response.ok || !api) {
    throw new Problem(
      "This page is not set up",
      "Its file config.json names no API. Deploy it again.",
      -1,
    );
  }
  config.value = { api: api.replace(/\/+$/, ""), access, predictions, stack, pages };
}

/** True if the service has the routes of a page. */
export const offers = (page: string): boolean => config.value.pages?.includes(page) ?? true;

const WITHOUT_TOKEN = ["/", "/classify"];

/** True if the service has anything that a token or a key opens. */
export const usesTokens = (): boolean =>
  config.value.predictions === "keys" ||
  (config.value.pages?.some((page) => !WITHOUT_TOKEN.includes(page)) ?? true);

/** Move the token from the address (`#token=...`), whatever stands behind it, to this tab's session;
 * returns whether it had one. */
export function takeToken(): boolean {
  const given = IN_ADDRESS.exec(location.hash)?.[1];
  if (given === undefined) return false;
  history.replaceState(history.state, "", location.pathname + location.search);
  if (given) keepToken(given);
  return given !== "";
}

/** Take the token from the address, or read it from this tab's session. */
export function findToken(): void {
  if (!takeToken()) {
    token.value = sessionStorage.getItem(KEPT) ?? localStorage.getItem(KEPT);
  }
  tabs.onmessage = ({ data }: MessageEvent<Message>) => {
    if (data.kind === "ask" && token.value) tell({ kind: "token", token: token.value });
    if (data.kind === "token" && !token.value) take(data.token);
    if (data.kind !== "out") return;
    if (data.token === undefined) drop();
    else if (data.token === token.value) lose();
  };
  if (!token.value) tell({ kind: "ask" });
}

/** Keep the token in the open tabs; with `remember`, on this device until somebody signs out. */
export function keepToken(given: string, remember = false): void {
  if (remember) localStorage.setItem(KEPT, given);
  take(given);
  tell({ kind: "token", token: given });
}

function take(given: string): void {
  sessionStorage.setItem(KEPT, given);
  batch(() => {
    refused.value = false;
    signingIn.value = false;
    token.value = given;
  });
}

/** The service refused the token: this tab asks for another one. Tabs with another token keep it. */
export function refuseToken(): void {
  const bad = token.value ?? undefined;
  lose();
  if (bad) tell({ kind: "out", token: bad });
}

function lose(): void {
  batch(() => {
    drop();
    refused.value = true;
    signingIn.value = true;
  });
}

/** Sign out, in every tab and on this device. */
export function forgetToken(): void {
  drop();
  tell({ kind: "out" });
}

function drop(): void {
  sessionStorage.removeItem(KEPT);
  localStorage.removeItem(KEPT);
  batch(() => {
    refused.value = false;
    token.value = null;
  });
}
