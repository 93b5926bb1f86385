import type { HlsPlayer, PlayerFailure, Quality } from "@odeon/sdk/hls";
import workerPath from "hls.js/dist/hls.worker.js?url";
import { type RefObject, useEffect, useRef, useState } from "react";
import { expose, mark } from "../../lib/debug";

export interface HlsStatus {
  player: HlsPlayer | undefined;
  qualities: Quality[];
  playing: Quality | undefined;
  failure: PlayerFailure | undefined;
  firstFrame: boolean;
}

const NOTHING: HlsStatus = {
  player: undefined,
  qualities: [],
  playing: undefined,
  failure: undefined,
  firstFrame: false,
};

/** An event that has just begun has no playlist for a moment: asked again this often (ms). */
const RELOAD_MS = 1000;

interface HlsInput {
  video: RefObject<HTMLVideoElement | null>;
  /** Empty while there is none, or while another protocol plays. */
  url: string;
  /** Gets a fresh address when the token in the old one is refused. */
  renew: () => void;
  /** Plays from here (seconds after the start) rather than from the live edge. */
  from: number | undefined;
}

/** Plays the playlist into the element as long as `url` is set, and tells what happens. */
export function useHls({ video, url, renew, from }: HlsInput): HlsStatus {
  const [status, setStatus] = useState<HlsStatus>(NOTHING);
  const onForbidden = useRef(renew);
  onForbidden.current = renew;
  const start = useRef(from);
  start.current = from;

  useEffect(() => {
    const element = video.current;
    if (!url || !element) return undefined;
    let player: HlsPlayer | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let over = false;
    const update = (change: Partial<HlsStatus>): void => setStatus((s) => ({ ...s, ...change }));

    const begin = async (): Promise<void> => {
      const { HlsPlayer } = await import("@odeon/sdk/hls");
      if (over) return;
      player = new HlsPlayer({ video: element, workerPath });
      const own = player;
      expose("player", own);
      own.on("qualities", (qualities) => update({ qualities }));
      own.on("quality", (playing) => update({ playing }));
      own.on("firstframe", () => {
        mark("first-frame");
        update({ firstFrame: true, failure: undefined });
      });
      own.on("failure", ({ failure }) => {
        update({ failure });
        if (failure === "MEDIA") return;
        if (failure === "FORBIDDEN") onForbidden.current();
        const position = own.live ? undefined : element.currentTime || undefined;
        timer = setTimeout(() => own.load(url, position ?? start.current), RELOAD_MS);
      });
      update({ ...NOTHING, player: own });
      own.load(url, start.current);
    };
    void begin();

    return () => {
      over = true;
      clearTimeout(timer);
      player?.destroy();
      setStatus(NOTHING);
    };
  }, [video, url]);

  return status;
}
