/** Further behind the wanted delay than this (seconds) is lost ground, not jitter. */
const LOST_S = 2.5;
/** Lost ground is given this long (ms) to come back by faster playback. */
const PATIENCE_MS = 2000;
const CHECK_MS = 500;
/** A seek that lands this near (seconds) to the live position means live. */
const LIVE_TOLERANCE_S = 3;
/** Seeks back by less than this (seconds) are the player's own corrections. */
const OWN_SEEK_S = 1;

export interface LivePosition {
  /** Where to play to be as near to live as the stream allows; undefined for a recording. */
  sync(): number | undefined;
}

/**
 * Keeps a viewer who wants live at live. hls.js plays faster to catch up, but takes whoever is
 * more than a few seconds behind for somebody who rewound; a slow start or a long stall would
 * leave them there for good. This one knows who rewound: those who sought back or paused.
 */
export class LiveFollower {
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #undo: (() => void)[] = [];
  #following: boolean;
  #position = 0;
  #lostSince: number | undefined;

  constructor(
    private readonly video: HTMLVideoElement,
    private readonly live: LivePosition,
    following = true,
  ) {
    this.#following = following;
    this.#listen("timeupdate", () => {
      if (!video.seeking) this.#position = video.currentTime;
    });
    this.#listen("seeking", () => this.#onSeek());
    this.#listen("pause", () => {
      // Browsers may pause what nobody sees.
      if (!document.hidden && !video.ended) this.#following = false;
    });
    this.#listen("play", () => {
      if (this.#behind() < LIVE_TOLERANCE_S) this.#following = true;
    });
    this.#timer = setInterval(() => this.#check(), CHECK_MS);
  }

  /** Whether the viewer wants to be at the live edge. */
  get following(): boolean {
    return this.#following;
  }

  /** Goes to the live edge and stays there. */
  catchUp(): void {
    this.#following = true;
    this.#lostSince = undefined;
    const sync = this.live.sync();
    if (sync !== undefined) this.video.currentTime = sync;
  }

  stop(): void {
    clearInterval(this.#timer);
    for (const undo of this.#undo) undo();
  }

  #onSeek(): void {
    const back = this.#position - this.video.currentTime;
    if (this.#behind() < LIVE_TOLERANCE_S) this.#following = true;
    else if (back > OWN_SEEK_S) this.#following = false;
  }

  #check(): void {
    const { video } = this;
    const idle = video.paused || video.seeking || video.readyState < 1;
    if (!this.#following || idle || this.#behind() < LOST_S) {
      this.#lostSince = undefined;
      return;
    }
    const now = performance.now();
    this.#lostSince ??= now;
    if (now - this.#lostSince >= PATIENCE_MS) this.catchUp();
  }

  #behind(): number {
    const sync = this.live.sync();
    return sync === undefined ? 0 : sync - this.video.currentTime;
  }

  #listen(name: string, listener: () => void): void {
    this.video.addEventListener(name, listener);
    this.#undo.push(() => this.video.removeEventListener(name, listener));
  }
}
