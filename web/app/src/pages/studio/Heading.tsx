import { type Event, EventState } from "@odeon/sdk";
import { Radio, Square } from "lucide-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { StateBadge } from "../../ui/Badge";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Dialog";
import { Notice } from "../../ui/Notice";
import type { Direction } from "./StudioPage";
import css from "./StudioPage.module.css";

/** The event's name and state, going live, and ending. */
export function Heading({ event, direction }: { event: Event; direction: Direction }) {
  const { t } = useTranslation();
  const [confirming, setConfirming] = useState(false);
  const live = event.state === EventState.LIVE;
  return (
    <div className={css.heading}>
      <StateBadge state={event.state} />
      <h1 className={css.title}>{event.title || t("common.untitled")}</h1>
      {live ? <Clock since={Number(event.startTime?.seconds ?? 0n)} /> : null}
      {live ? (
        <Button
          look="danger"
          icon={<Square aria-hidden />}
          onClick={() => setConfirming(true)}
          data-testid="end-event"
        >
          {t("studio.end")}
        </Button>
      ) : (
        <Button
          look="live"
          icon={<Radio aria-hidden />}
          busy={direction.busy === "start"}
          onClick={() => void direction.start()}
          data-testid="start-event"
        >
          {t("studio.goLive")}
        </Button>
      )}
      {direction.error ? (
        <div className={css.error}>
          <Notice error={direction.error} />
        </div>
      ) : null}
      <Confirm
        open={confirming}
        title={t("studio.endConfirm.title")}
        text={t("studio.endConfirm.text")}
        confirm={t("studio.end")}
        busy={direction.busy === "end"}
        onCancel={() => setConfirming(false)}
        onConfirm={() => void direction.end().then(() => setConfirming(false))}
      />
    </div>
  );
}

function Clock({ since }: { since: number }) {
  const { t } = useTranslation();
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  if (!since) return null;
  return (
    <time className={css.clock} title={t("studio.running")}>
      {clockText(Math.max(0, Math.floor(now / 1000 - since)))}
    </time>
  );
}

/** 3725 becomes "1:02:05". */
export function clockText(seconds: number): string {
  const two = (n: number): string => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return `${hours > 0 ? `${hours}:${two(minutes)}` : minutes}:${two(seconds % 60)}`;
}
