/*
 * Styles of shadow roots as constructed style sheets, for components that would write <style>
 * elements (see plugins/mediaChromeCsp.ts).
 */

/** Fills a shadow root with markup; the markup's styles become adopted style sheets. */
export function writeShadow(root: ShadowRoot, html: string): void {
  const { content } = Object.assign(document.createElement("template"), { innerHTML: html });
  const sheets: CSSStyleSheet[] = [];
  for (const style of content.querySelectorAll("style")) {
    const sheet = new CSSStyleSheet(style.media ? { media: style.media } : {});
    sheet.replaceSync(style.textContent ?? "");
    sheets.push(sheet);
    style.remove();
  }
  // Rules that components change later; last, so that they win.
  sheets.push(new CSSStyleSheet());
  root.replaceChildren(content);
  root.adoptedStyleSheets = sheets;
}

/** What stands in for the style elements of a shadow root: objects with a sheet. */
export function stylesOf(root: Node): { sheet: CSSStyleSheet }[] {
  const sheets = root instanceof ShadowRoot ? root.adoptedStyleSheets : [];
  return sheets.filter((sheet) => sheet.media.length === 0).map((sheet) => ({ sheet }));
}
