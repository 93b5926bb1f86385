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
import { type OwnMedia, type Tile, tilesOf } from "./tilesOf";

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
