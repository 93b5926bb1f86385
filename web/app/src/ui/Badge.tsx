import { EventState } from "@odeon/sdk";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import css from "./Badge.module.css";

export function Badge({ look, children }: { look: "live" | "calm" | "ok"; children: ReactNode }) {
  return (
    <span className={`${css.badge} ${css[look]}`}>
      {look === "live" ? <span className={css.dot} aria-hidden /> : null}
      {children}
    </span>
  );
}

/** Where an event is between planned and over. */
export function StateBadge({ state }: { state: EventState }) {
  const { t } = useTranslation();
  if (state === EventState.LIVE) return <Badge look="live">{t("state.live")}</Badge>;
  if (state === EventState.ENDED) return <Badge look="calm">{t("state.ended")}</Badge>;
  if (state === EventState.WARMUP) return <Badge look="ok">{t("state.warmup")}</Badge>;
  return <Badge look="calm">{t("state.scheduled")}</Badge>;
}
