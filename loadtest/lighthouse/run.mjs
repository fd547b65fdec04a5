/**
 * Runs Lighthouse on each page of a running stack: a phone with a cold cache, a processor slowed down
 * 4 times and slow 4G (1.6 Mbit/s, 150 ms there and back), in the system's Chromium.
 *
 *     make up                 # in another terminal, on an idle machine
 *     make lighthouse         # [SITE="http://127.0.0.1:8080 ..."] [RUNS=5] [PAGES="/ /classify"]
 *
 * Prints the medians of RUNS runs of each page. Several sites, such as before and after a change, take
 * turns. Exits with 1 if a score is below LEAST, or if a page of GOALS is slower than its goal.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { launch } from "chrome-launcher";
import lighthouse from "lighthouse";

const words = (given, otherwise) => (given || otherwise).split(/[\s,]+/);

const SITES = words(process.env.SITE, "http://127.0.0.1:8080");
const PAGES = words(
  process.env.PAGES,
  "/ /classify /batch /review /data /models /monitoring",
);
const RUNS = Number(process.env.RUNS || 5);

/** The least score of each page in each category. */
const LEAST = 98;

/** The pages that a visitor opens first, and the most that their figures may be, in milliseconds. */
const FIRST = ["/", "/classify"];
const MOST = { "largest-contentful-paint": 2_000, "total-blocking-time": 300 };

const CATEGORIES = ["performance", "accessibility", "best-practices"];
const FIGURES = [...Object.keys(MOST), "cumulative-layout-shift"];

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** The report of one run; only the first run of a page has the categories that do not vary. */
async function measure(address, port, run) {
  const { lhr } = await lighthouse(address, {
    port,
    logLevel: "error",
    onlyCategories: run === 0 ? CATEGORIES : CATEGORIES.slice(0, 1),
  });
  if (lhr.runtimeError) throw new Error(lhr.runtimeError.message);
  return lhr;
}

/** Each score below LEAST and each figure above its goal, in words. */
function misses(path, scores, figures) {
  const found = CATEGORIES.filter((_, index) => scores[index] < LEAST).map(
    (name) => `${name} is below ${LEAST}`,
  );
  if (FIRST.includes(path)) {
    for (const [index, [name, most]] of Object.entries(MOST).entries()) {
      if (figures[index] > most) found.push(`${name} is above ${most} ms`);
    }
  }
  return found;
}

const profile = await mkdtemp(join(tmpdir(), "lighthouse-"));
const chrome = await launch({
  chromePath: process.env.CHROMIUM,
  userDataDir: profile,
  chromeFlags: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"],
});
try {
  console.log(`| page | ${CATEGORIES.join(" | ")} | LCP ms | blocked ms | shift |`);
  console.log(`|---|${"---|".repeat(CATEGORIES.length + 3)}`);
  for (const path of PAGES) {
    const seen = new Map(SITES.map((site) => [site, []]));
    for (let run = 0; run < RUNS; run += 1) {
      for (const site of SITES) seen.get(site).push(await measure(site + path, chrome.port, run));
    }
    for (const [site, reports] of seen) {
      const [{ audits, categories }] = reports;
      const scores = CATEGORIES.map((name) =>
        median(
          reports
            .filter((report) => name in report.categories)
            .map((report) => Math.round(100 * report.categories[name].score)),
        ),
      );
      const figures = FIGURES.map((name) =>
        median(reports.map((report) => report.audits[name].numericValue)),
      );
      const [lcp, blocked, shift] = figures;
      const name = SITES.length > 1 ? site + path : path;
      console.log(
        `| ${name} | ${scores.join(" | ")} | ${lcp.toFixed(0)} | ${blocked.toFixed(0)} | ${shift.toFixed(3)} |`,
      );
      for (const missed of misses(path, scores, figures)) {
        console.log(`  ${missed}`);
        process.exitCode = 1;
      }
      for (const { id } of CATEGORIES.slice(1).flatMap((name) => categories[name].auditRefs)) {
        if (audits[id].score !== null && audits[id].score < 1) console.log(`  ${id}: ${audits[id].title}`);
      }
    }
  }
} finally {
  await chrome.kill();
  await rm(profile, { recursive: true, force: true });
}
