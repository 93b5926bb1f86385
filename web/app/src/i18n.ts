import i18next from "i18next";
import { initReactI18next } from "react-i18next";
import type en from "./locales/en.json";

export const LANGUAGES = { en: "English", zh: "中文" } as const;
export type Language = keyof typeof LANGUAGES;

const KEY = "odeon.language";

declare module "i18next" {
  interface CustomTypeOptions {
    defaultNS: "translation";
    resources: { translation: typeof en };
  }
}

const load: Record<Language, () => Promise<{ default: unknown }>> = {
  en: () => import("./locales/en.json"),
  zh: () => import("./locales/zh.json"),
};

function isLanguage(value: string | null): value is Language {
  return value === "en" || value === "zh";
}

/** The language chosen before, else the first of the browser's that there is. */
export function preferredLanguage(
  stored: string | null,
  wanted: readonly string[] = navigator.languages,
): Language {
  if (isLanguage(stored)) return stored;
  for (const tag of wanted) {
    const language = tag.toLowerCase().split("-")[0] ?? "";
    if (isLanguage(language)) return language;
  }
  return "en";
}

async function addResources(language: Language): Promise<void> {
  if (i18next.hasResourceBundle(language, "translation")) return;
  const strings = await load[language]();
  i18next.addResourceBundle(language, "translation", strings.default);
}

/** Loads the strings of one language; others are fetched when they are chosen. */
export async function startI18n(): Promise<void> {
  const language = preferredLanguage(localStorage.getItem(KEY));
  await i18next.use(initReactI18next).init({
    lng: language,
    fallbackLng: false,
    resources: {},
    interpolation: { escapeValue: false },
    react: { useSuspense: false },
  });
  await chooseLanguage(language, false);
}

export async function chooseLanguage(language: Language, remember = true): Promise<void> {
  await addResources(language);
  await i18next.changeLanguage(language);
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  if (remember) localStorage.setItem(KEY, language);
}
