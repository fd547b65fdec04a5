import { defineConfig, type Plugin } from "vite";

/** The API of `npm run dev`: that of `make up` by default. */
const API = process.env.API ?? "http://127.0.0.1:8000";

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
  },
  worker: { format: "es" },
  server: {
    host: "127.0.0.1",
    port: 8081,
    strictPort: true,
    proxy: { "/api/": { target: API, rewrite: (path) => path.slice("/api".length) } },
  },
});
