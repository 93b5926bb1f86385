import type { Event, EventStats, Visit } from "@odeon/sdk";
import type { Stage, StageStats } from "@odeon/sdk/stage";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import css from "./Panel.module.css";

const SAMPLE_MS = 1000;
const RECONNECT_MS = 3000;

/** Numbers that move: the audience, and one's own connection. */
export function Stats({ stage, visit, event }: { stage: Stage; visit: Visit; event: Event }) {
  const { t } = useTranslation();
  const audience = useEventStats(visit, event.name);
  const own = useStageStats(stage);
  return (
    <>
      <section className={css.section}>
        <h2 className={css.title}>{t("studio.stats.audience")}</h2>
        <dl className={css.figures}>
          <Figure name={t("studio.stats.viewers")}>{audience?.concurrentViewers.toString()}</Figure>
          <Figure name={t("studio.stats.peak")}>
            {audience?.peakConcurrentViewers.toString()}
          </Figure>
          <Figure name={t("studio.stats.startup")}>
            {milliseconds(durationMs(audience?.startupTimeP50))}
          </Figure>
          <Figure name={t("studio.stats.stalled")}>{percent(audience?.rebufferRatio)}</Figure>
        </dl>
      </section>
      <section className={css.section}>
        <h2 className={css.title}>{t("studio.stats.own")}</h2>
        <dl className={css.figures} data-testid="own-stats">
          <Figure name={t("studio.stats.picture")}>
            {own?.video
              ? `${own.video.width}×${own.video.height} · ${own.video.framesPerSecond} fps`
              : undefined}
          </Figure>
          <Figure name={t("studio.stats.codec")}>{own?.video?.codec}</Figure>
          <Figure name={t("studio.stats.send")}>{bitrate(own?.sendBps)}</Figure>
          <Figure name={t("studio.stats.receive")}>{bitrate(own?.receiveBps)}</Figure>
          <Figure name={t("studio.stats.roundTrip")}>{milliseconds(own?.roundTripMs)}</Figure>
          <Figure name={t("studio.stats.loss")}>{percent(own?.lossSent)}</Figure>
        </dl>
        {own && own.limitedBy !== "none" ? (
          <p className={css.hint}>
            {t(own.limitedBy === "cpu" ? "studio.stats.limitedCpu" : "studio.stats.limitedNetwork")}
          </p>
        ) : null}
      </section>
    </>
  );
}

function Figure({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children || "–"}</dd>
    </div>
  );
}

function useStageStats(stage: Stage): StageStats | undefined {
  const [stats, setStats] = useState<StageStats>();
  useEffect(() => {
    const timer = setInterval(() => {
      stage.stats().then(setStats, () => undefined);
    }, SAMPLE_MS);
    return () => clearInterval(timer);
  }, [stage]);
  return stats;
}

/** Follows the audience's numbers; asks again when the stream breaks. */
function useEventStats(visit: Visit, event: string): EventStats | undefined {
  const [stats, setStats] = useState<EventStats>();
  const { api } = visit;
  useEffect(() => {
    const stop = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const follow = async (): Promise<void> => {
      try {
        const options = { signal: stop.signal, timeoutMs: 0 };
        for await (const answer of api.analytics.watchEventStats({ event }, options)) {
          setStats(answer.stats);
        }
      } catch {
        // Analytics is needed for nothing live.
      }
      if (!stop.signal.aborted) timer = setTimeout(() => void follow(), RECONNECT_MS);
    };
    void follow();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [api, event]);
  return stats;
}

function durationMs(value: { seconds: bigint; nanos: number } | undefined): number | undefined {
  return value && Number(value.seconds) * 1000 + value.nanos / 1e6;
}

function milliseconds(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${Math.round(value)} ms`;
}

function percent(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${(value * 100).toFixed(1)} %`;
}

export function bitrate(bps: number | undefined): string | undefined {
  if (bps === undefined) return undefined;
  return bps >= 1e6 ? `${(bps / 1e6).toFixed(1)} Mb/s` : `${Math.round(bps / 1000)} kb/s`;
}
