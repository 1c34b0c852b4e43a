import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The server that `npm run dev` uses. */
const server = process.env.OOTHECA_SERVER ?? "http://127.0.0.1:8080";

// The server compares Origin with Host, so the proxy must not change Host.
const proxy = { target: server, changeOrigin: false };

export default defineConfig({
  plugins: [react()],
  server: {
    host: "127.0.0.1",
    proxy: { "/api": proxy, "^/clusters/[^/]+/cert$": proxy },
  },
  build: {
    target: "es2022",
    // The content security policy forbids data: URLs, so small files are not inlined.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
});
