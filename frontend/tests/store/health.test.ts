import { expect, test, vi } from "vitest";
import { config } from "../../src/api/session";
import { health, refreshHealth, trouble } from "../../src/store/health";

const PROBLEM = "champion.json is not JSON.";

let answer = Response.error();
vi.stubGlobal("fetch", async () => answer.clone());
config.value = { ...config.value, api: "http://127.0.0.1:1" };

/** Check a service that answers so. */
async function seen(body: object, status = 200): Promise<void> {
  answer = Response.json({ model_version: "v1", uptime_seconds: 1, ...body }, { status });
  await refreshHealth();
}

test("a degraded service is up and says what is wrong with its model", async () => {
  await seen({ status: "degraded", problem: PROBLEM });
  expect([health.value, trouble.value]).toEqual(["up", PROBLEM]);
});

test("the trouble ends with the next answer that has none, and is not that of a service that is down", async () => {
  await seen({ status: "ready", problem: null });
  expect([health.value, trouble.value]).toEqual(["up", null]);
  await seen({ status: "degraded", problem: PROBLEM });
  await seen({ title: "Unavailable", status: 503 }, 503);
  expect([health.value, trouble.value]).toEqual(["down", null]);
});
