import { type Event, EventState, eventId, type Visit } from "@odeon/sdk";
import { Clapperboard, Rewind, UserPlus, Zap } from "lucide-react";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { StateBadge } from "../../ui/Badge";
import { buttonClass } from "../../ui/Button";
import { Segments } from "../../ui/Segments";
import { Latency, useLatency } from "./Latency";
import css from "./Player.module.css";
import { Screen } from "./Screen";
import { useHls } from "./useHls";
import { useBeacons, useGlassMeter } from "./useMeasures";
import { usePlaylistUrl } from "./usePlaylistUrl";
import { useWhep } from "./useWhep";

export type Protocol = "hls" | "whep";

/** The programme with everything around it. */
export default function Player(props: { visit: Visit; event: Event; invite: string }) {
  const { visit, event, invite } = props;
  const { t } = useTranslation();
  const video = useRef<HTMLVideoElement>(null);
  const [protocol, setProtocol] = useState<Protocol>("hls");
  const ended = event.state === EventState.ENDED;
  const [recording] = useState(ended);
  const playing: Protocol = ended ? "hls" : protocol;
  const playlistUrl = usePlaylistUrl(visit);

  const hls = useHls({
    video,
    url: playing === "hls" ? playlistUrl.url : "",
    renew: playlistUrl.renew,
    // The playlist of an event that has just ended may still look live for a moment.
    from: recording ? 0 : undefined,
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
          ) : (
            <Choices visit={visit} protocol={playing} onProtocol={setProtocol} invite={invite} />
          )}
        </div>
      </div>
    </div>
  );
}

/** What a viewer of a live event may choose. */
function Choices(props: {
  visit: Visit;
  protocol: Protocol;
  onProtocol: (protocol: Protocol) => void;
  invite: string;
}) {
  const { visit, protocol, onProtocol, invite } = props;
  const { t } = useTranslation();
  return (
    <>
      {visit.whepUrl ? (
        <Segments
          label={t("watch.protocol.label")}
          value={protocol}
          onChange={onProtocol}
          segments={[
            { value: "hls", label: t("watch.protocol.hls"), icon: <Rewind aria-hidden /> },
            { value: "whep", label: t("watch.protocol.whep"), icon: <Zap aria-hidden /> },
          ]}
        />
      ) : null}
      {visit.stageUrl ? (
        <a
          className={buttonClass("primary")}
          href={guestLink(visit.event, invite)}
          data-testid="join-as-guest"
        >
          <UserPlus aria-hidden />
          {t("watch.join")}
        </a>
      ) : null}
    </>
  );
}

function guestLink(event: Event, invite: string): string {
  return `/guest/${eventId(event.name)}${window.location.search}#invite=${encodeURIComponent(invite)}`;
}
