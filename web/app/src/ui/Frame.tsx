import { Languages, Moon, Sun } from "lucide-react";
import { Suspense, useState } from "react";
import { useTranslation } from "react-i18next";
import { Link, Outlet, useLocation, useNavigation } from "react-router";
import { chooseLanguage, LANGUAGES, type Language } from "../i18n";
import { chooseTheme, currentTheme } from "../lib/theme";
import { IconButton } from "./Button";
import css from "./Frame.module.css";
import { Loading } from "./Trouble";

/** What every page has: a way home, language, theme. */
export function Frame() {
  const { t } = useTranslation();
  const loading = useNavigation().state === "loading";
  const { pathname } = useLocation();
  return (
    <div className={css.frame} data-page={pathname.split("/")[1] || "home"}>
      <a className={css.skip} href="#main">
        {t("frame.skip")}
      </a>
      <header className={css.header}>
        <Link to="/" className={css.brand} aria-label={t("frame.home")}>
          <Mark />
          <span>Odeon</span>
        </Link>
        <div className={css.tools}>
          <LanguageSwitch />
          <ThemeSwitch />
        </div>
      </header>
      <main id="main" className={css.main} aria-busy={loading} tabIndex={-1}>
        <Suspense fallback={<Loading />}>
          <Outlet />
        </Suspense>
      </main>
    </div>
  );
}

function Mark() {
  return (
    <svg viewBox="0 0 24 24" width="26" height="26" aria-hidden="true" className={css.mark}>
      <path d="M3 18a9 9 0 0 1 18 0" />
      <path d="M7.5 18a4.5 4.5 0 0 1 9 0" />
      <circle cx="12" cy="18" r="1.5" />
    </svg>
  );
}

function LanguageSwitch() {
  const { t, i18n } = useTranslation();
  const other: Language = i18n.language === "zh" ? "en" : "zh";
  return (
    <button
      type="button"
      className={css.language}
      lang={other === "zh" ? "zh-CN" : "en"}
      title={t("frame.language")}
      data-testid="language"
      onClick={() => void chooseLanguage(other)}
    >
      <Languages aria-hidden />
      {LANGUAGES[other]}
    </button>
  );
}

function ThemeSwitch() {
  const { t } = useTranslation();
  const [theme, setTheme] = useState(currentTheme);
  const other = theme === "dark" ? "light" : "dark";
  return (
    <IconButton
      label={t(other === "dark" ? "frame.toDark" : "frame.toLight")}
      icon={other === "dark" ? <Moon aria-hidden /> : <Sun aria-hidden />}
      onClick={() => {
        chooseTheme(other);
        setTheme(other);
      }}
    />
  );
}
