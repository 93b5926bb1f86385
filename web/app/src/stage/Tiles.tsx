import {
  type Stage,
  type StageMedia,
  type StageView,
  TrackKind,
  TrackSource,
} from "@odeon/sdk/stage";
import { MicOff, ScreenShare, WifiOff } from "lucide-react";
import { useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import css from "./Tiles.module.css";

export interface OwnMedia {
  camera: MediaStreamTrack | undefined;
  screen: MediaStreamTrack | undefined;
  microphoneMuted: boolean;
  cameraMuted: boolean;
}

interface Tile {
  key: string;
  name: string;
  track: MediaStreamTrack | undefined;
  trackId: string | undefined;
  source: TrackSource;
  own: boolean;
  soundMuted: boolean;
  pictureMuted: boolean;
  paused: boolean;
  speaking: boolean;
}

/** Louder than this (of 127) counts as speaking. */
const SPEAKING_LEVEL = 70;

/** Everybody who is on stage, oneself included, and what they share. */
export function Tiles({ stage, view, own }: { stage: Stage; view: StageView; own: OwnMedia }) {
  const { t } = useTranslation();
  const tiles = tilesOf(view, own, t("stage.you"));
  return (
    <div
      className={css.tiles}
      data-count={Math.min(tiles.length, 10)}
      data-screen={tiles.some((tile) => tile.source === TrackSource.SCREEN)}
      data-testid="tiles"
    >
      {tiles.map((tile) => (
        <TileView key={tile.key} stage={stage} tile={tile} />
      ))}
      {view.media.filter(isForeignSound(view.identity)).map((media) => (
        <Sound key={media.trackId} track={media.track} />
      ))}
    </div>
  );
}

/** What to show, screens first, then oneself, then the others. */
export function tilesOf(view: StageView, own: OwnMedia, ownName: string): Tile[] {
  const base = {
    own: false,
    soundMuted: false,
    pictureMuted: false,
    paused: false,
    speaking: false,
  };
  const mine: Tile = {
    ...base,
    key: "own",
    name: ownName,
    track: own.camera,
    trackId: undefined,
    source: TrackSource.CAMERA,
    own: true,
    soundMuted: own.microphoneMuted,
    pictureMuted: own.cameraMuted || !own.camera,
    speaking: isSpeaking(view, view.identity),
  };
  const screens: Tile[] = own.screen
    ? [
        {
          ...mine,
          key: "own-screen",
          track: own.screen,
          source: TrackSource.SCREEN,
          pictureMuted: false,
          speaking: false,
        },
      ]
    : [];
  const others: Tile[] = [];
  for (const member of view.members) {
    if (member.identity === view.identity || !member.admitted) continue;
    const media = view.media.filter((m) => m.identity === member.identity);
    const sound = media.find(
      (m) => m.source === TrackSource.MICROPHONE || m.kind === TrackKind.AUDIO,
    );
    const shared = { ...base, name: member.displayName, soundMuted: sound ? sound.muted : true };
    const screen = media.find((m) => m.source === TrackSource.SCREEN);
    if (screen) screens.push({ ...shared, ...picture(screen), key: screen.trackId });
    const camera = media.find((m) => m.kind === TrackKind.VIDEO && m !== screen);
    others.push({
      ...shared,
      ...(camera
        ? picture(camera)
        : { track: undefined, trackId: undefined, pictureMuted: true, source: TrackSource.CAMERA }),
      key: member.identity,
      speaking: isSpeaking(view, member.identity),
    });
  }
  return [...screens, mine, ...others];
}

function picture(media: StageMedia) {
  const { track, trackId, source, muted, paused } = media;
  return { track, trackId, source, pictureMuted: muted, paused };
}

function isSpeaking(view: StageView, identity: string): boolean {
  return (view.members.find((m) => m.identity === identity)?.level ?? 0) > SPEAKING_LEVEL;
}

function isForeignSound(identity: string): (media: StageMedia) => boolean {
  return (media) => media.kind === TrackKind.AUDIO && media.identity !== identity;
}

function TileView({ stage, tile }: { stage: Stage; tile: Tile }) {
  const { t } = useTranslation();
  const video = useRef<HTMLVideoElement>(null);
  const { track, trackId, own, source } = tile;
  const screen = source === TrackSource.SCREEN;
  const shown = track && !tile.pictureMuted;

  useEffect(() => {
    const element = video.current;
    if (!element || !track) return undefined;
    element.srcObject = new MediaStream([track]);
    void element.play().catch(() => undefined);
    return trackId && !own ? stage.observeFirstFrame(trackId, element) : undefined;
  }, [stage, track, trackId, own]);

  const name = screen ? t("stage.screenOf", { name: tile.name }) : tile.name;
  return (
    <figure
      className={css.tile}
      data-screen={screen}
      data-own={own && !screen}
      data-speaking={tile.speaking}
      data-testid={own ? "tile-own" : "tile"}
      data-track={trackId}
    >
      <video ref={video} muted autoPlay playsInline hidden={!shown} aria-label={name} />
      {shown ? null : (
        <span className={css.initial} aria-hidden>
          {initial(tile.name)}
        </span>
      )}
      {tile.paused ? (
        <span className={css.paused}>
          <WifiOff aria-hidden /> {t("stage.paused")}
        </span>
      ) : null}
      <figcaption className={css.name}>
        {screen ? <ScreenShare aria-hidden /> : null}
        {!screen && tile.soundMuted ? <MicOff aria-label={t("stage.soundOff")} /> : null}
        <span>{name}</span>
      </figcaption>
    </figure>
  );
}

function initial(name: string): string {
  return [...name.trim()][0]?.toUpperCase() ?? "?";
}

function Sound({ track }: { track: MediaStreamTrack | undefined }) {
  const audio = useRef<HTMLAudioElement>(null);
  useEffect(() => {
    if (!audio.current || !track) return;
    audio.current.srcObject = new MediaStream([track]);
    void audio.current.play().catch(() => undefined);
  }, [track]);
  // biome-ignore lint/a11y/useMediaCaption: a live conversation has no captions
  return <audio ref={audio} autoPlay />;
}
