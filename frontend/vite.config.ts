import { defineConfig, type Plugin } from "vite";

/** The API of `npm run dev`: that of `make up` by default. */
const API = process.env.API ?? "http://127.0.0.1:8000";

const anyOf = (...tests: string[]) => new RegExp(tests.join("|"));

/**
 * The files that pages share, by name. A module goes to the first one that matches it. Many small
 * files would each cost a request before the page is there, and compress worse.
 */
const SHARED = {
  // What every page needs.
  core: anyOf(
    "node_modules/(@?preact|preact-iso|openapi-fetch)/",
    "src/(api/(client|limits|problem|session|use-load)|format|store/(health|model|scheme|classified|handed))",
    "src/image/(prepare|size|format|flat)",
    "src/upload/(names|bucket|dropped)",
    "src/ui/(announce|copy|drop-zone|figure|full-size|icons|later|left-out|pages|predictions)",
    "src/ui/(scroll|source|state|tab-title|token|trouble|verdict)",
    "src/pages/classify/(choose|samples)",
  ),
  result: anyOf("src/pages/classify/(compared|pair|result|verdicts)", "src/image/(bars|evidence)"),
  uploads: anyOf("node_modules/idb/", "src/upload/", "src/store/deci"),
  parts: anyOf(
    "src/api/use-(dataset|list)",
    "src/ui/(code|confirm|more-button|notify|reason|rename|snippets)",
    "src/charts/plot",
    "src/pages/models/find",
  ),
};

/** `npm run dev` proxies the API, so that any port will do. */
const ownConfig: Plugin = {
  name: "own-config",
  configureServer({ middlewares }) {
    middlewares.use("/config.json", (_, response) => {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ api: "/api", access: "private", stack: "clickbait" }));
    });
  },
};

export default defineConfig({
  plugins: [ownConfig],
  build: {
    target: "es2022",
    // The page's colours use light-dark(), which these browsers support.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // Inlined files are data: URLs, which the Content-Security-Policy allows for images only.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: Object.entries(SHARED).map(([name, test], place) => ({
            name,
            test,
            priority: 10 - place,
          })),
        },
      },
    },
  },
  worker: { format: "es" },
  server: {
    host: "127.0.0.1",
    port: 8081,
    strictPort: true,
    proxy: { "/api/": { target: API, rewrite: (path) => path.slice("/api".length) } },
  },
});
