import Hls, { type ErrorData, ErrorDetails, ErrorTypes, Events } from "hls.js";
import { Emitter } from "../emitter";
import { LiveFollower } from "./follow";
import { onFirstFrame } from "./frames";
import { hlsSettings } from "./hls-settings";
import { noteBufferedParts, notePartsOfClones } from "./parts";
import { Pathways } from "./pathways";

/** One choice of the quality menu. */
export interface Quality {
  /** Index for setQuality. */
  index: number;
  height: number;
  bitrateBps: number;
}

export type PlayerFailure =
  /** No playlist there (yet, or no more). */
  | "NOT_FOUND"
  /** The token is no longer accepted. */
  | "FORBIDDEN"
  /** The server stayed away after all retries. */
  | "NETWORK"
  /** The browser cannot play it. */
  | "MEDIA";

export interface HlsPlayerEvents {
  qualities: Quality[];
  /** Quality that plays now. */
  quality: Quality;
  firstframe: undefined;
  /** Playback has stopped; `load` may be tried again. */
  failure: { failure: PlayerFailure; detail: string };
}

export interface HlsPlayerOptions {
  video: HTMLVideoElement;
  /** Address of hls.js's worker script; the main thread works when null. */
  workerPath?: string | null;
}

/** Media errors are recovered from at most this often in a row. */
const MEDIA_RECOVERIES = 3;
/** Nearer than this to the live position (seconds) counts as live. */
const LIVE_TOLERANCE_S = 3;

/** Plays an event's LL-HLS: live at its edge, with time-shift, and afterwards as VOD. */
export class HlsPlayer extends Emitter<HlsPlayerEvents> {
  readonly video: HTMLVideoElement;
  readonly #workerPath: string | null;
  #hls: Hls | undefined;
  #recoveries = 0;
  #stopWaiting: (() => void) | undefined;
  #follower: LiveFollower | undefined;
  #wanted = -1;

  constructor(options: HlsPlayerOptions) {
    super();
    this.video = options.video;
    this.#workerPath = options.workerPath ?? null;
  }

  /** hls.js underneath; undefined where the browser plays HLS by itself. */
  get hls(): Hls | undefined {
    return this.#hls;
  }

  /** Plays a playlist from its live edge, or from `positionS` seconds after its start. */
  load(url: string, positionS?: number): void {
    this.#teardown();
    this.#stopWaiting = onFirstFrame(this.video, () => this.emit("firstframe", undefined));
    if (!Hls.isSupported()) {
      this.video.src = url;
      this.video.onerror = () => this.emit("failure", { failure: "MEDIA", detail: "native" });
      return;
    }
    const pathways = new Pathways();
    const hls: Hls = new Hls({
      ...hlsSettings(this.#workerPath, () => pathways.leaves(hls)),
      ...(positionS === undefined ? {} : { startPosition: positionS }),
    });
    this.#hls = hls;
    noteBufferedParts(hls);
    notePartsOfClones(hls);
    hls.on(Events.MANIFEST_PARSED, () => this.emit("qualities", this.qualities));
    hls.on(Events.LEVELS_UPDATED, () => this.emit("qualities", this.qualities));
    hls.on(Events.LEVEL_SWITCHED, (_, { level }) => this.#onLevel(level));
    hls.on(Events.FRAG_BUFFERED, () => {
      this.#recoveries = 0;
    });
    hls.on(Events.ERROR, (_, data) => this.#onError(data));
    hls.attachMedia(this.video);
    hls.loadSource(url);
    const sync = () => (this.live ? (hls.liveSyncPosition ?? undefined) : undefined);
    this.#follower = new LiveFollower(this.video, { sync }, positionS === undefined);
  }

  /** Best first. */
  get qualities(): Quality[] {
    const levels = this.#hls?.levels ?? [];
    return levels
      .map((level, index) => ({ index, height: level.height, bitrateBps: level.bitrate }))
      .sort((a, b) => b.height - a.height || b.bitrateBps - a.bitrateBps);
  }

  /** The chosen quality's index; -1 when the player chooses. */
  get chosen(): number {
    return this.#wanted;
  }

  /** Plays one quality, or with -1 whatever the connection bears. */
  setQuality(index: number): void {
    this.#wanted = index;
    if (this.#hls) this.#hls.nextLevel = index;
  }

  /** Whether the playlist is still growing. */
  get live(): boolean {
    const details = this.#details();
    return details ? details.live : this.video.duration === Number.POSITIVE_INFINITY;
  }

  /**
   * Seconds between what happened and what is shown. From the playlist's wall clock
   * (EXT-X-PROGRAM-DATE-TIME) where the viewer's clock makes it plausible, otherwise the
   * distance to the playlist's end. Undefined while unknown or for a recording.
   */
  get latency(): number | undefined {
    const hls = this.#hls;
    if (!hls || !this.live || this.video.readyState < 1) return undefined;
    const toEdge = hls.latency;
    const date = hls.playingDate;
    if (date) {
      const byClock = (Date.now() - date.getTime()) / 1000;
      if (byClock > toEdge - 0.5 && byClock < toEdge + 10) return byClock;
    }
    return toEdge > 0 ? toEdge : undefined;
  }

  /** Whether the viewer chose to watch earlier than the live edge. */
  get behindLive(): boolean {
    if (this.#follower?.following) return false;
    const target = this.#hls?.liveSyncPosition;
    if (!this.live || target === null || target === undefined) return false;
    return target - this.video.currentTime > LIVE_TOLERANCE_S;
  }

  /** Jumps to the live edge and plays. */
  seekToLive(): void {
    const end = this.#seekableEnd();
    if (this.#follower) this.#follower.catchUp();
    else if (end !== undefined) this.video.currentTime = end;
    void this.video.play().catch(() => undefined);
  }

  /** Ends playback and lets go of the element. */
  destroy(): void {
    this.#teardown();
    this.video.removeAttribute("src");
    this.video.load();
  }

  #details() {
    const hls = this.#hls;
    return hls?.levels[Math.max(0, hls.currentLevel)]?.details ?? hls?.latestLevelDetails;
  }

  #seekableEnd(): number | undefined {
    const { seekable } = this.video;
    return seekable.length > 0 ? seekable.end(seekable.length - 1) : undefined;
  }

  #onLevel(index: number): void {
    const quality = this.qualities.find((q) => q.index === index);
    if (quality) this.emit("quality", quality);
  }

  #onError(data: ErrorData): void {
    if (!data.fatal) return;
    if (data.type === ErrorTypes.MEDIA_ERROR && this.#recoveries < MEDIA_RECOVERIES) {
      this.#recoveries += 1;
      this.#hls?.recoverMediaError();
      return;
    }
    this.emit("failure", { failure: classify(data), detail: data.details });
  }

  #teardown(): void {
    this.#stopWaiting?.();
    this.#stopWaiting = undefined;
    this.#follower?.stop();
    this.#follower = undefined;
    this.#hls?.destroy();
    this.#hls = undefined;
    this.#wanted = -1;
  }
}

/** What a fatal error means to the viewer. */
export function classify(data: Pick<ErrorData, "type" | "details" | "response">): PlayerFailure {
  const status = data.response?.code;
  if (status === 401 || status === 403) return "FORBIDDEN";
  if (status === 404 || status === 410) return "NOT_FOUND";
  if (data.details === ErrorDetails.MANIFEST_INCOMPATIBLE_CODECS_ERROR) return "MEDIA";
  return data.type === ErrorTypes.NETWORK_ERROR ? "NETWORK" : "MEDIA";
}
