export type Theme = "light" | "dark";

const KEY = "odeon.theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function chosen(): Theme | undefined {
  const value = localStorage.getItem(KEY);
  return value === "light" || value === "dark" ? value : undefined;
}

/** The theme now: the viewer's choice, or else the system's. */
export function currentTheme(): Theme {
  return chosen() ?? (dark.matches ? "dark" : "light");
}

function apply(): void {
  document.documentElement.dataset.theme = currentTheme();
}

/** Applies the theme and follows the system while nothing is chosen. */
export function startTheme(): void {
  apply();
  dark.addEventListener("change", apply);
}

export function chooseTheme(theme: Theme): void {
  localStorage.setItem(KEY, theme);
  apply();
}
