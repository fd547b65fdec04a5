import { afterEach, expect, test, vi } from "vitest";
import { config, offers, readConfig } from "../../src/api/session";

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
