import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

/*
 * Media Chrome writes <style> elements into its shadow roots, which `style-src 'self'` blocks
 * (muxinc/media-chrome issue 898). Its rules are put into constructed style sheets instead,
 * which the policy allows: the three places where it writes or looks up styles are redirected
 * to src/lib/shadowStyles.ts while bundling. The build fails when a new version of Media
 * Chrome writes them in another way.
 */

const HELPER = fileURLToPath(new URL("../src/lib/shadowStyles.ts", import.meta.url));
const WRITES_HTML_UNSAFE =
  /this\.shadowRoot\.setHTMLUnsafe \? this\.shadowRoot\.setHTMLUnsafe\((\w+)\) : this\.shadowRoot\.innerHTML = \w+;/g;
const WRITES_TEMPLATE = /this\.shadowRoot\.innerHTML = ([^;]+);/g;
const LOOKS_UP_STYLES = /styleParent\.querySelectorAll\("style:not\(\[media\]\)"\)/g;
const LEFT_OVER = /shadowRoot\.(innerHTML|setHTMLUnsafe)/;

/** The module's code with its styles redirected; undefined when it has none. */
export function redirectStyles(code: string): string | undefined {
  const changed = code
    .replace(WRITES_HTML_UNSAFE, "__writeShadow(this.shadowRoot, $1);")
    .replace(WRITES_TEMPLATE, "__writeShadow(this.shadowRoot, $1);")
    .replace(LOOKS_UP_STYLES, "__stylesOf(styleParent)");
  if (LEFT_OVER.test(changed)) {
    throw new Error("Media Chrome writes its shadow DOM in a way that this plugin does not know");
  }
  if (changed === code) return undefined;
  const imports = "stylesOf as __stylesOf, writeShadow as __writeShadow";
  return `import { ${imports} } from ${JSON.stringify(HELPER)};\n${changed}`;
}

/** Makes Media Chrome work under a policy without 'unsafe-inline'. */
export function mediaChromeUnderCsp(): Plugin {
  return {
    name: "media-chrome-under-csp",
    transform(code, id) {
      if (!/media-chrome\/dist\/.+\.js/.test(id)) return undefined;
      const changed = redirectStyles(code);
      return changed === undefined ? undefined : { code: changed, map: null };
    },
  };
}
