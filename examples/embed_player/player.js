// <odeon-player src="https://edge.example.org/t/<token>/<tenant>/<event>/main.m3u8"></odeon-player>
//
// An event in a page of one's own: live two seconds behind with rewind, afterwards the recording.
// Needs hls.js as the global `Hls`. The attribute `state` and the event `odeon-state` tell how it
// goes: "loading", "playing", "waiting" (no picture yet), "refused" (the token has expired or was
// revoked: set a fresh `src`) or "failed" (it keeps trying).

/** An edge or a recorder that restarts is back within this time. */
const RETRY = { maxNumRetry: 20, retryDelayMs: 250, maxRetryDelayMs: 250 };
/** How soon an event without a picture is asked for again. */
const WAIT_MS = 1000;
/** Who is farther behind (seconds) and has no picture was held up; nearer, hls.js catches up. */
const LOST_S = 4;

class OdeonPlayer extends HTMLElement {
  static observedAttributes = ["src"];
  #video = document.createElement("video");
  /** @type {import("hls.js").default | undefined} */
  #hls;
  #timer = 0;
  #position = 0;
  #rewound = false;

  connectedCallback() {
    Object.assign(this.#video, { controls: true, autoplay: true, muted: true, playsInline: true });
    this.#video.style.cssText = "display: block; width: 100%; aspect-ratio: 16 / 9";
    this.#video.onplaying = () => this.#enter("playing");
    this.#video.ontimeupdate = () => {
      if (!this.#video.seeking) this.#position = this.#video.currentTime;
    };
    this.#video.onseeking = () => this.#onSeek();
    this.append(this.#video);
    this.#load();
  }

  disconnectedCallback() {
    this.#unload();
    this.#video.remove();
  }

  attributeChangedCallback() {
    if (this.#video.isConnected) this.#load();
  }

  #load() {
    this.#unload();
    this.#rewound = false;
    const src = this.getAttribute("src");
    if (!src) return;
    this.#enter("loading");
    if (!Hls.isSupported()) {
      this.#video.src = src; // Safari on iPhones plays LL-HLS by itself.
      return;
    }
    const hls = new Hls({
      lowLatencyMode: true,
      maxLiveSyncPlaybackRate: 1.1, // At 1, the default, hls.js never catches up.
      playlistLoadPolicy: LOAD_POLICY,
      fragLoadPolicy: LOAD_POLICY,
    });
    this.#hls = hls;
    hls.on(Hls.Events.ERROR, (_, error) => {
      if (error.fatal) this.#onFatal(hls, error);
    });
    hls.on(Hls.Events.LEVEL_UPDATED, () => this.#keepLive());
    hls.attachMedia(this.#video);
    hls.loadSource(src);
  }

  #behind() {
    const live = this.#hls?.liveSyncPosition ?? 0; // None for a recording.
    return live - this.#video.currentTime;
  }

  #onSeek() {
    if (this.#behind() < LOST_S) this.#rewound = false;
    else if (this.#position - this.#video.currentTime > 1) this.#rewound = true;
  }

  /** hls.js takes everybody who is far behind for somebody who rewound, a slow start included. */
  #keepLive() {
    const starving = this.#video.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
    if (starving && !this.#rewound && this.#behind() > LOST_S) {
      this.#video.currentTime = this.#hls?.liveSyncPosition ?? this.#video.currentTime;
    }
  }

  /**
   * @param {import("hls.js").default} hls
   * @param {import("hls.js").ErrorData} error
   */
  #onFatal(hls, error) {
    const status = error.response?.code;
    if (error.type === Hls.ErrorTypes.MEDIA_ERROR) {
      hls.recoverMediaError();
    } else if (status === 401 || status === 403) {
      this.#unload();
      this.#enter("refused");
    } else {
      this.#enter(status === 404 ? "waiting" : "failed");
      this.#timer = window.setTimeout(() => this.#load(), WAIT_MS);
    }
  }

  #unload() {
    window.clearTimeout(this.#timer);
    this.#hls?.destroy();
    this.#hls = undefined;
  }

  /** @param {string} state */
  #enter(state) {
    if (this.getAttribute("state") === state) return;
    this.setAttribute("state", state);
    this.dispatchEvent(new CustomEvent("odeon-state", { detail: state, bubbles: true }));
  }
}

/**
 * Whether to ask again. hls.js gives up at once on status 0, which is what a server looks like
 * while it restarts.
 *
 * @type {NonNullable<import("hls.js").RetryConfig["shouldRetry"]>}
 */
const shouldRetry = (retry, count, isTimeout, response) => {
  const status = response?.code ?? 0;
  const passing = isTimeout || status === 0 || status >= 500 || status === 429;
  return passing && retry != null && count < retry.maxNumRetry;
};

/** @type {import("hls.js").LoadPolicy} */
const LOAD_POLICY = {
  default: {
    maxTimeToFirstByteMs: 10_000, // A playlist request may be held until its part exists.
    maxLoadTimeMs: 60_000,
    timeoutRetry: RETRY,
    errorRetry: { ...RETRY, shouldRetry },
  },
};

customElements.define("odeon-player", OdeonPlayer);
