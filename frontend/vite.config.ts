import { defineConfig, type Plugin } from "vite";

/** The API of `npm run dev`: that of `make up` by default. */
const API = process.env.API ?? "http://127.0.0.1:8000";

const CORE = new RegExp(
  [
    "node_modules/(@?preact|preact-iso|openapi-fetch)/",
    "src/(api/|format|store/(health|model|scheme|classified|handed))",
    "src/image/(prepare|size|format|flat)",
    "src/upload/(names|bucket|dropped)",
    "src/ui/(announce|copy|drop-zone|figure|icons|later|left-out|pages|scroll|source|state|token|trouble|verdict)",
  ].join("|"),
);

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
    // What every page needs is one file: together it compresses better, and it is one request.
    rolldownOptions: { output: { codeSplitting: { groups: [{ name: "core", test: CORE }] } } },
  },
  worker: { format: "es" },
  server: {
    host: "127.0.0.1",
    port: 8081,
    strictPort: true,
    proxy: { "/api/": { target: API, rewrite: (path) => path.slice("/api".length) } },
  },
});
