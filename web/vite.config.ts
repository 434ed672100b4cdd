import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

// `npm run dev` shows the page from the sources, with the API of a daemon that runs here.
const target = process.env.TRACKLIGHT_URL ?? "http://127.0.0.1:8470";
// Under the name that the browser has: the daemon refuses changes that come from another origin.
const daemon = { target, changeOrigin: false };

export default defineConfig({
  plugins: [svelte()],
  build: { target: "es2022", assetsInlineLimit: 0, modulePreload: { polyfill: false } },
  server: { proxy: { "/api": daemon, "/signin": daemon } },
});
