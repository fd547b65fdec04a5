/**
 * Runs Lighthouse on each page of a running stack: mobile profile, cold cache, the system's Chromium.
 *
 *     make up                 # in another terminal
 *     make lighthouse         # [SITE=http://127.0.0.1:8080] [RUNS=3]
 *
 * Prints the median of RUNS runs of each page; exits with 1 if a score is below LEAST.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch } from "chrome-launcher";
import lighthouse from "lighthouse";

const SITE = process.env.SITE || "http://127.0.0.1:8080";
const RUNS = Number(process.env.RUNS || 3);
const LEAST = 95;
const PATHS = ["/", "/classify", "/batch", "/data", "/models", "/monitoring"];
const CATEGORIES = ["performance", "accessibility", "best-practices"];

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

const profile = await mkdtemp(join(tmpdir(), "lighthouse-"));
const chrome = await launch({
  chromePath: process.env.CHROMIUM,
  userDataDir: profile,
  chromeFlags: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
let low = 0;
try {
  console.log(`| page | ${CATEGORIES.join(" | ")} | LCP ms | blocked ms | shift |`);
  console.log(`|---|${"---|".repeat(CATEGORIES.length + 3)}`);
  for (const path of PATHS) {
    const seen = [];
    for (let run = 0; run < RUNS; run += 1) {
      const done = await lighthouse(`${SITE}${path}`, {
        port: chrome.port,
        logLevel: "error",
        onlyCategories: CATEGORIES,
      });
      if (done.lhr.runtimeError) throw new Error(done.lhr.runtimeError.message);
      seen.push(done.lhr);
    }
    const scores = CATEGORIES.map((name) =>
      median(seen.map(({ categories }) => Math.round(100 * categories[name].score))),
    );
    const figures = ["largest-contentful-paint", "total-blocking-time", "cumulative-layout-shift"].map(
      (name) => median(seen.map(({ audits }) => audits[name].numericValue)),
    );
    low += scores.filter((score) => score < LEAST).length;
    console.log(
      `| ${path} | ${scores.join(" | ")} | ${figures[0].toFixed(0)} | ${figures[1].toFixed(0)} | ${figures[2].toFixed(3)} |`,
    );
    for (const { audits, categories } of seen.slice(-1)) {
      for (const name of CATEGORIES.slice(1)) {
        for (const { id } of categories[name].auditRefs) {
          if (audits[id].score !== null && audits[id].score < 1) console.log(`  ${id}: ${audits[id].title}`);
        }
      }
    }
  }
} finally {
  await chrome.kill();
  await rm(profile, { recursive: true, force: true });
}
process.exitCode = low ? 1 : 0;
