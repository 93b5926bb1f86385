import { Beacons, type Event, EventState, type Visit } from "@odeon/sdk";
import { useQueryClient } from "@tanstack/react-query";
import { Clapperboard, Rewind, UserPlus, Zap } from "lucide-react";
import { type RefObject, useEffect, useMemo, useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { debugging, expose } from "../../lib/debug";
import { StateBadge } from "../../ui/Badge";
import { buttonClass } from "../../ui/Button";
import { Segments } from "../../ui/Segments";
import { Latency, useLatency } from "./Latency";
import css from "./Player.module.css";
import { Screen } from "./Screen";
import { useHls } from "./useHls";
import { useWhep } from "./useWhep";

export type Protocol = "hls" | "whep";

/** The programme with everything around it. */
export default function Player(props: { visit: Visit; event: Event; invite: string }) {
  const { visit, event, invite } = props;
  const { t } = useTranslation();
  const video = useRef<HTMLVideoElement>(null);
  const [protocol, setProtocol] = useState<Protocol>("hls");
  const ended = event.state === EventState.ENDED;
  const playing: Protocol = ended ? "hls" : protocol;
  const playlistUrl = usePlaylistUrl(visit);

  const hls = useHls({
    video,
    url: playing === "hls" ? playlistUrl.url : "",
    renew: playlistUrl.renew,
  });
  const whep = useWhep({
    video,
    url: playing === "whep" ? visit.whepUrl : "",
    token: visit.playbackToken,
  });
  const latency = useLatency(playing, hls.player, whep.player);
  useBeacons(video, visit, playing, latency, hls.playing?.height);
  useGlassMeter(video);

  return (
    <div className={css.page}>
      <Screen
        video={video}
        protocol={playing}
        hls={hls}
        whep={whep}
        latency={latency}
        ended={ended}
        title={event.title}
      />
      <div className={css.below}>
        <div className={css.heading}>
          <h1 data-testid="title">{event.title || t("common.untitled")}</h1>
          <div className={css.facts}>
            <StateBadge state={event.state} />
            <Latency seconds={latency} protocol={playing} live={!ended} />
          </div>
        </div>
        <div className={css.actions}>
          {ended ? (
            <span className={css.recording}>
              <Clapperboard aria-hidden /> {t("watch.recording")}
            </span>
          ) : visit.whepUrl ? (
            <Segments
              label={t("watch.protocol.label")}
              value={playing}
              onChange={setProtocol}
              segments={[
                { value: "hls", label: t("watch.protocol.hls"), icon: <Rewind aria-hidden /> },
                { value: "whep", label: t("watch.protocol.whep"), icon: <Zap aria-hidden /> },
              ]}
            />
          ) : null}
          {visit.stageUrl && !ended ? (
            <a
              className={buttonClass("primary")}
              href={guestLink(event, invite)}
              data-testid="join-as-guest"
            >
              <UserPlus aria-hidden />
              {t("watch.join")}
            </a>
          ) : null}
        </div>
      </div>
    </div>
  );
}

function guestLink(event: Event, invite: string): string {
  const id = event.name.replace(/^events\//, "");
  return `/guest/${id}${window.location.search}#invite=${encodeURIComponent(invite)}`;
}

/**
 * The playlist's address. A renewed visit brings a new token, but a playback that goes on
 * keeps the old one: only when that is refused is the new one taken.
 */
function usePlaylistUrl(visit: Visit): { url: string; renew: () => void } {
  const queries = useQueryClient();
  const [url, setUrl] = useState(visit.playlistUrl);
  const latest = useRef(visit.playlistUrl);
  latest.current = visit.playlistUrl;
  useEffect(() => {
    setUrl((now) => now || visit.playlistUrl);
  }, [visit.playlistUrl]);
  const renew = useMemo(
    () => () => {
      void queries
        .refetchQueries({ queryKey: ["visit", "watch"] })
        .then(() => setUrl(latest.current));
    },
    [queries],
  );
  return { url, renew };
}

/** Tells analytics how this playback goes. */
function useBeacons(
  video: RefObject<HTMLVideoElement | null>,
  visit: Visit,
  protocol: Protocol,
  latency: number | undefined,
  height: number | undefined,
): void {
  const beacons = useRef<Beacons | undefined>(undefined);
  const latest = useRef(latency);
  latest.current = latency;
  const { api, playbackToken } = visit;
  const name = visit.event.name;

  // biome-ignore lint/correctness/useExhaustiveDependencies: a renewed token is no new playback
  useEffect(() => {
    if (!video.current || !playbackToken) return undefined;
    const keepalive: typeof fetch = (input, init) => fetch(input, { ...init, keepalive: true });
    const sender = new Beacons({
      client: api.with({ token: playbackToken, fetch: keepalive }),
      event: name,
      video: video.current,
      protocol,
      latency: () => latest.current,
    });
    beacons.current = sender;
    return () => sender.end();
  }, [name, protocol]);

  useEffect(() => {
    if (height) beacons.current?.rendition(`v${height}`);
  }, [height]);
}

/** On debugged pages, reads the test card from every presented frame. */
function useGlassMeter(video: RefObject<HTMLVideoElement | null>): void {
  useEffect(() => {
    const element = video.current;
    if (!debugging || !element) return undefined;
    let stop = (): void => undefined;
    let over = false;
    void import("@odeon/sdk/glass").then(({ GlassMeter }) => {
      if (over) return;
      const meter = new GlassMeter(element);
      expose("glass", meter);
      stop = () => meter.stop();
    });
    return () => {
      over = true;
      stop();
    };
  }, [video]);
}
