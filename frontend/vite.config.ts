import { defineConfig, type Plugin } from "vite";

/** Where `npm run dev` finds the API: that of `make up`. */
const API = process.env.API ?? "http://127.0.0.1:8000";

/** `npm run dev` reaches the API by way of itself, so that any port will do. */
const ownConfig: Plugin = {
  name: "own-config",
  configureServer({ middlewares }) {
    middlewares.use("/config.json", (_, answer) => {
      answer.setHeader("content-type", "application/json");
      answer.end(JSON.stringify({ api: "/api", access: "private" }));
    });
  },
};

export default defineConfig({
  plugins: [ownConfig],
  build: {
    target: "es2022",
    // The page's colours are written with light-dark(), which these browsers know.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // An inlined file is a data: address, which the Content-Security-Policy lets in for images only.
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
