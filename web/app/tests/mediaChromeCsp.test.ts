import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { redirectStyles } from "../plugins/mediaChromeCsp";

const dist = join(__dirname, "../../node_modules/media-chrome/dist");
const modules = [
  "media-chrome-button",
  "media-chrome-range",
  "media-container",
  "media-control-bar",
  "media-loading-indicator",
  "media-text-display",
  "media-tooltip",
  "utils/element-utils",
];

describe("Media Chrome under a policy without inline styles", () => {
  it.each(modules)("writes no style element of its own: %s", (name) => {
    const changed = redirectStyles(readFileSync(join(dist, `${name}.js`), "utf8"));
    expect(changed).toMatch(/__writeShadow|__stylesOf/);
    expect(changed).not.toMatch(/shadowRoot\.(innerHTML|setHTMLUnsafe)/);
    expect(changed).not.toContain('querySelectorAll("style');
  });

  it("has no module that this way of redirecting does not know", () => {
    const all = readdirSync(dist, { recursive: true, encoding: "utf8" }).filter(
      (path) => path.endsWith(".js") && !/^(cjs|iife|extras|react)\//.test(path),
    );
    expect(all.length).toBeGreaterThan(50);
    for (const path of all) {
      expect(() => redirectStyles(readFileSync(join(dist, path), "utf8"))).not.toThrow();
    }
  });

  it("fails the build when an upgrade writes styles in another way", () => {
    const code = 'this.shadowRoot.innerHTML += "<style>";';
    expect(() => redirectStyles(code)).toThrow(/does not know/);
  });
});
