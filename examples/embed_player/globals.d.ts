// What the page's first script defines.
declare var Hls: typeof import("hls.js").default;
