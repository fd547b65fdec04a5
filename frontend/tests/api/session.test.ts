import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import {
  config,
  findToken,
  forgetToken,
  keepToken,
  offers,
  readConfig,
  refused,
  refuseToken,
  signingIn,
  takeToken,
  token,
} from "../../src/api/session";
import { eventually } from "../eventually";

afterEach(() => vi.unstubAllGlobals());

const given = (content: object) =>
  vi.stubGlobal("fetch", async () => new Response(JSON.stringify(content)));

test("a service that names its pages offers only those", async () => {
  given({ api: "/", pages: ["/", "/classify"] });
  await readConfig();
  expect(config.value.api).toBe("");
  expect([offers("/classify"), offers("/models")]).toEqual([true, false]);
});

test("a service that names none offers all", async () => {
  given({ api: "https://api.example.org/" });
  await readConfig();
  expect(config.value.api).toBe("https://api.example.org");
  expect(offers("/models")).toBe(true);
});

const storage = () => {
  const kept = new Map<string, string>();
  return {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
    removeItem: (name: string) => kept.delete(name),
  };
};

test.each([
  ["#token=abc-1", "abc-1"],
  ["#token=abc-1&utm_source=mail", "abc-1"],
  ["#token=abc-1%20", "abc-1"],
  ["#token=", null],
])("a token leaves the address whatever stands behind it: %s", (hash, expected) => {
  const left: unknown[] = [];
  vi.stubGlobal("sessionStorage", storage());
  vi.stubGlobal("location", { hash, pathname: "/models", search: "?show=versions" });
  vi.stubGlobal("history", {
    state: null,
    replaceState: (...given: unknown[]) => left.push(given),
  });
  token.value = null;
  expect(takeToken()).toBe(expected !== null);
  expect([token.value, left]).toEqual([expected, [[null, "", "/models?show=versions"]]]);
});

test("another fragment stays in the address", () => {
  vi.stubGlobal("location", { hash: "#threshold", pathname: "/data", search: "" });
  expect(takeToken()).toBe(false);
});

/** Another tab, and the next message that it receives. */
const otherTab = () => {
  const tab = new BroadcastChannel("session");
  onTestFinished(() => tab.close());
  const next = () =>
    new Promise((resolve) => {
      tab.onmessage = ({ data }) => resolve(data);
    });
  return { tab, next };
};

test("a refused token ends in the tabs that have it, and signing out ends any token", async () => {
  vi.stubGlobal("sessionStorage", storage());
  vi.stubGlobal("localStorage", storage());
  vi.stubGlobal("location", { hash: "", pathname: "/", search: "" });
  const { tab, next } = otherTab();
  const first = next();
  findToken();
  expect(await first).toEqual({ kind: "ask" });

  const shared = next();
  keepToken("good", true);
  expect(await shared).toEqual({ kind: "token", token: "good" });
  const asked = next();
  tab.postMessage({ kind: "out", token: "old" });
  tab.postMessage({ kind: "ask" }); // Its answer comes after the message before it.
  expect(await asked).toEqual({ kind: "token", token: "good" });

  const refusal = next();
  refuseToken();
  expect(await refusal).toEqual({ kind: "out", token: "good" });
  expect([token.value, localStorage.getItem("token")]).toEqual([null, null]);
  expect([refused.value, signingIn.value]).toEqual([true, true]);

  const again = next();
  keepToken("good");
  await again;
  expect([refused.value, signingIn.value]).toEqual([false, false]);
  tab.postMessage({ kind: "out" });
  await eventually(() => expect(token.value).toBeNull());

  const out = next();
  forgetToken();
  expect(await out).toEqual({ kind: "out" });
});
