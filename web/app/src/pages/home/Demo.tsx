import { Play, Video } from "lucide-react";
import { useTranslation } from "react-i18next";
import type { PublicConfig } from "../../lib/config";
import { Badge } from "../../ui/Badge";
import { buttonClass } from "../../ui/Button";
import css from "./HomePage.module.css";

/** The event that a fresh installation brings along. */
export function Demo({ demo }: { demo: NonNullable<PublicConfig["demo"]> }) {
  const { t } = useTranslation();
  return (
    <section className={`${css.card} ${css.demo}`} aria-labelledby="demo" data-testid="demo">
      <div className={css.demoText}>
        <Badge look="live">{t("state.live")}</Badge>
        <h2 id="demo">{demo.title || t("home.demo.title")}</h2>
        <p className={css.hint}>{t("home.demo.text")}</p>
      </div>
      <div className={css.demoActions}>
        <a className={buttonClass("primary")} href={demo.watch_url} data-testid="demo-watch">
          <Play aria-hidden />
          {t("home.demo.watch")}
        </a>
        <a className={buttonClass("plain")} href={demo.studio_url} data-testid="demo-studio">
          <Video aria-hidden />
          {t("home.demo.studio")}
        </a>
      </div>
    </section>
  );
}
