import "./mediaChrome";
import type { Quality } from "@odeon/sdk/hls";
import { RotateCcw, Settings2, VolumeX } from "lucide-react";
import { type RefObject, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "../../ui/Button";
import { ChoiceMenu } from "../../ui/Menu";
import type { Protocol } from "./Player";
import css from "./Screen.module.css";
import type { HlsStatus } from "./useHls";
import type { WhepStatus } from "./useWhep";

interface ScreenProps {
  video: RefObject<HTMLVideoElement | null>;
  protocol: Protocol;
  hls: HlsStatus;
  whep: WhepStatus;
  ended: boolean;
  title: string;
}

/** The picture and its controls. */
export function Screen({ video, protocol, hls, whep, ended, title }: ScreenProps) {
  const { t, i18n } = useTranslation();
  const [controller, setController] = useState<HTMLElement | null>(null);
  const behind = useBehindLive(hls);
  const message = useMessage(protocol, hls, whep, ended);
  const finished = useFinished(video, ended);
  const timeShift = protocol === "hls";
  return (
    <div className={css.screen} data-protocol={protocol} data-testid="screen">
      <media-controller
        ref={setController}
        class={css.controller}
        lang={i18n.language === "zh" ? "zh-CN" : "en"}
        autohide="3"
        defaultstreamtype={ended ? "on-demand" : "live"}
      >
        <video
          ref={video}
          slot="media"
          playsInline
          autoPlay
          muted
          crossOrigin="anonymous"
          aria-label={title || t("common.untitled")}
          className={css.video}
        />
        <media-loading-indicator slot="centered-chrome" noautohide="" class={css.loading} />
        {timeShift ? (
          <media-control-bar class={css.timeBar}>
            <media-time-range class={css.time} />
          </media-control-bar>
        ) : null}
        <media-control-bar class={css.bar}>
          <media-play-button />
          <media-mute-button />
          <media-volume-range class={css.volume} />
          {timeShift && (ended || behind) ? (
            <media-time-display class={css.clock} showduration={ended ? "" : undefined} />
          ) : null}
          {timeShift && !ended ? <LiveButton hls={hls} behind={behind} /> : null}
          <span className={css.space} />
          {timeShift ? <QualityMenu hls={hls} container={controller} /> : null}
          <media-pip-button class={css.pip} />
          <media-fullscreen-button />
        </media-control-bar>
      </media-controller>
      {finished ? null : <SoundButton video={video} />}
      {finished ? (
        <div className={css.over}>
          <Button
            icon={<RotateCcw aria-hidden />}
            onClick={() => playFromStart(video.current)}
            data-testid="from-start"
          >
            {t("watch.fromStart")}
          </Button>
        </div>
      ) : null}
      {message && !finished ? (
        <p className={css.message} role="status" data-testid="player-message">
          {message}
        </p>
      ) : null}
    </div>
  );
}

function playFromStart(video: HTMLVideoElement | null): void {
  if (!video) return;
  video.currentTime = 0;
  void video.play().catch(() => undefined);
}

/** Audio and video of a recording may end some frames apart: this near (seconds) is the end. */
const END_TOLERANCE_S = 0.5;

/** Whether a recording has been played to its end. */
function useFinished(video: RefObject<HTMLVideoElement | null>, ended: boolean): boolean {
  const [finished, setFinished] = useState(false);
  useEffect(() => {
    setFinished(false);
    if (!ended) return undefined;
    const timer = setInterval(() => {
      const element = video.current;
      if (!element) return;
      const left = element.duration - element.currentTime;
      const starved = element.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
      setFinished(element.ended || (left < END_TOLERANCE_S && starved));
    }, POSITION_POLL_MS);
    return () => clearInterval(timer);
  }, [video, ended]);
  return finished;
}

/** Says where the picture is: at the edge of live, or how to get there. */
function LiveButton({ hls, behind }: { hls: HlsStatus; behind: boolean }) {
  const { t } = useTranslation();
  return (
    <button
      type="button"
      className={css.live}
      data-behind={behind}
      data-testid="back-to-live"
      onClick={() => hls.player?.seekToLive()}
      aria-label={behind ? t("watch.backToLive") : t("watch.atLive")}
    >
      <span className={css.dot} aria-hidden />
      {behind ? t("watch.backToLive") : t("state.live")}
    </button>
  );
}

function QualityMenu({ hls, container }: { hls: HlsStatus; container: HTMLElement | null }) {
  const { t } = useTranslation();
  const [chosen, setChosen] = useState("-1");
  const { player, qualities, playing } = hls;
  useEffect(() => {
    setChosen(String(player?.chosen ?? -1));
  }, [player]);
  const auto = playing
    ? t("watch.quality.autoNow", { height: playing.height })
    : t("watch.quality.auto");
  const current = qualities.find((quality) => String(quality.index) === chosen);
  return (
    <ChoiceMenu
      label={t("watch.quality.label")}
      value={chosen}
      container={container}
      onChange={(value) => {
        setChosen(value);
        player?.setQuality(Number(value));
      }}
      options={[{ value: "-1", label: auto }, ...qualities.map((quality) => option(quality))]}
      trigger={
        <button
          type="button"
          className={css.control}
          aria-label={t("watch.quality.label")}
          title={t("watch.quality.label")}
          data-testid="quality-menu"
          disabled={qualities.length === 0}
        >
          <Settings2 aria-hidden />
          <span>{current ? `${current.height}p` : t("watch.quality.auto")}</span>
        </button>
      }
    />
  );
}

function option(quality: Quality) {
  const megabits = (quality.bitrateBps / 1e6).toFixed(1);
  return {
    value: String(quality.index),
    label: `${quality.height}p`,
    detail: `${megabits} Mb/s`,
  };
}

/** Browsers start videos muted; one tap brings the sound. */
function SoundButton({ video }: { video: RefObject<HTMLVideoElement | null> }) {
  const { t } = useTranslation();
  const [muted, setMuted] = useState(true);
  useEffect(() => {
    const element = video.current;
    if (!element) return undefined;
    const update = (): void => setMuted(element.muted);
    element.addEventListener("volumechange", update);
    update();
    return () => element.removeEventListener("volumechange", update);
  }, [video]);
  if (!muted) return null;
  return (
    <button
      type="button"
      className={css.sound}
      data-testid="unmute"
      onClick={() => {
        if (!video.current) return;
        video.current.muted = false;
        if (video.current.volume === 0) video.current.volume = 1;
        void video.current.play().catch(() => undefined);
      }}
    >
      <VolumeX aria-hidden />
      {t("watch.unmute")}
    </button>
  );
}

const POSITION_POLL_MS = 500;

function useBehindLive({ player }: HlsStatus): boolean {
  const [behind, setBehind] = useState(false);
  useEffect(() => {
    setBehind(false);
    if (!player) return undefined;
    const timer = setInterval(() => setBehind(player.behindLive), POSITION_POLL_MS);
    return () => clearInterval(timer);
  }, [player]);
  return behind;
}

/** What to say over the picture when it does not move. */
function useMessage(
  protocol: Protocol,
  hls: HlsStatus,
  whep: WhepStatus,
  ended: boolean,
): string | undefined {
  const { t } = useTranslation();
  if (protocol === "whep") {
    if (whep.failure) return t("watch.message.whepFailed");
    if (whep.state === "reconnecting") return t("watch.message.reconnecting");
    return undefined;
  }
  if (!hls.failure) return undefined;
  if (hls.failure === "MEDIA") return t("watch.message.unsupported");
  if (hls.failure === "NOT_FOUND" && !hls.firstFrame) {
    return ended ? t("watch.message.noRecording") : t("watch.message.starting");
  }
  return t("watch.message.reconnecting");
}
