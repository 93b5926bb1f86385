import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";
import { mediaChromeUnderCsp } from "./plugins/mediaChromeCsp";

const gateway = process.env.ODEON_GATEWAY ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react(), mediaChromeUnderCsp()],
  // The plugin above must see the modules of Media Chrome one by one.
  optimizeDeps: { exclude: ["media-chrome"] },
  build: {
    target: "es2022",
    // The content security policy allows files of this origin, not data: addresses.
    assetsInlineLimit: 0,
    sourcemap: false,
    chunkSizeWarningLimit: 700,
  },
  server: {
    proxy: Object.fromEntries(
      ["/odeon.", "/config.json", "/whip", "/whep", "/v1", "/steering", "/stage"].map((path) => [
        path,
        { target: gateway, ws: path === "/stage" },
      ]),
    ),
  },
});
