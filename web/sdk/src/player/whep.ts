import { Backoff } from "../backoff";
import { Emitter } from "../emitter";
import { errorFromResponse, type OdeonError, toOdeonError } from "../errors";
import { watchIce } from "../stage/watchdog";
import type { Traceparent } from "../trace";
import { onFirstFrame } from "./frames";
import { applyFragment, restartFragment } from "./sdp";

export type WhepState = "connecting" | "playing" | "reconnecting" | "closed";

export interface WhepEvents {
  state: WhepState;
  firstframe: undefined;
  /** The session ended and will not be tried again. */
  failure: OdeonError;
}

export interface WhepOptions {
  url: string;
  /** Playback token; asked again before each session. */
  token: string | (() => Promise<string>);
  video: HTMLVideoElement;
  traceparent?: Traceparent | undefined;
  rtc?: RTCConfiguration;
  fetch?: typeof globalThis.fetch;
  newPeerConnection?: () => RTCPeerConnection;
}

interface Session {
  pc: RTCPeerConnection;
  resource: URL;
  etag: string;
  token: string;
  answer: string;
  stopWatching: () => void;
}

/** New sessions are tried for this long (ms) after the last one was lost. */
const GIVE_UP_MS = 60_000;

/** Plays the programme by WebRTC (WHEP): below 200 ms, no time-shift. */
export class WhepPlayer extends Emitter<WhepEvents> {
  readonly video: HTMLVideoElement;
  readonly #backoff = new Backoff();
  #session: Session | undefined;
  #state: WhepState = "connecting";
  #lostAt: number | undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #stopWaiting: (() => void) | undefined;

  constructor(private readonly options: WhepOptions) {
    super();
    this.video = options.video;
  }

  get state(): WhepState {
    return this.#state;
  }

  /** The connection underneath, for statistics. */
  get pc(): RTCPeerConnection | undefined {
    return this.#session?.pc;
  }

  /** Starts playing; failures that may pass are tried again. */
  async start(): Promise<void> {
    this.#stopWaiting ??= onFirstFrame(this.video, () => this.emit("firstframe", undefined));
    try {
      const session = await this.#open();
      if (this.#state === "closed") {
        this.#release(session);
        return;
      }
      this.#session = session;
      this.#backoff.reset();
      this.#lostAt = undefined;
      this.#become("playing");
    } catch (thrown) {
      this.#afterFailure(toOdeonError(thrown));
    }
  }

  /** Seconds of media that wait in the receiver to be shown; undefined while unknown. */
  async bufferDelay(): Promise<number | undefined> {
    const report = await this.#session?.pc.getStats();
    for (const stat of (report?.values() ?? []) as Iterable<RTCInboundRtpStreamStats>) {
      if (stat.type !== "inbound-rtp" || stat.kind !== "video") continue;
      const { jitterBufferDelay = 0, jitterBufferEmittedCount = 0 } = stat;
      if (jitterBufferEmittedCount > 0) return jitterBufferDelay / jitterBufferEmittedCount;
    }
    return undefined;
  }

  /** Ends the session, here and at the server. */
  close(): void {
    this.#become("closed");
    clearTimeout(this.#retryTimer);
    this.#stopWaiting?.();
    const session = this.#session;
    this.#session = undefined;
    if (session) this.#release(session);
    this.video.srcObject = null;
  }

  async #open(): Promise<Session> {
    const { token } = this.options;
    const bearer = typeof token === "string" ? token : await token();
    const pc = this.options.newPeerConnection?.() ?? new RTCPeerConnection(this.options.rtc ?? {});
    try {
      this.#receive(pc);
      const offer = await pc.createOffer();
      await pc.setLocalDescription(offer);
      const response = await this.#post(bearer, pc.localDescription?.sdp ?? offer.sdp ?? "");
      const answer = await response.text();
      await pc.setRemoteDescription({ type: "answer", sdp: answer });
      const location = response.headers.get("location") ?? "";
      const session: Session = {
        pc,
        resource: new URL(location, response.url || this.options.url),
        etag: response.headers.get("etag") ?? "",
        token: bearer,
        answer,
        stopWatching: () => undefined,
      };
      session.stopWatching = watchIce(pc, () => void this.#restartIce(session));
      return session;
    } catch (error) {
      pc.close();
      throw error;
    }
  }

  #receive(pc: RTCPeerConnection): void {
    const stream = new MediaStream();
    for (const kind of ["video", "audio"]) {
      const { receiver } = pc.addTransceiver(kind, { direction: "recvonly" });
      // Show frames as soon as they are whole.
      receiver.jitterBufferTarget = 0;
      stream.addTrack(receiver.track);
    }
    this.video.srcObject = stream;
  }

  async #post(token: string, sdp: string): Promise<Response> {
    const { traceparent } = this.options;
    const response = await this.#fetch(this.options.url, {
      method: "POST",
      headers: {
        "content-type": "application/sdp",
        authorization: `Bearer ${token}`,
        ...(traceparent ? { traceparent } : {}),
      },
      body: sdp,
    });
    if (response.status !== 201) throw await errorFromResponse(response);
    return response;
  }

  /** Fresh ICE credentials on the same session; a new session when the server has forgotten it. */
  async #restartIce(session: Session): Promise<void> {
    try {
      session.pc.restartIce();
      const offer = await session.pc.createOffer({ iceRestart: true });
      await session.pc.setLocalDescription(offer);
      const response = await this.#fetch(session.resource.href, {
        method: "PATCH",
        headers: {
          "content-type": "application/trickle-ice-sdpfrag",
          authorization: `Bearer ${session.token}`,
          "if-match": "*",
        },
        body: restartFragment(offer.sdp ?? ""),
      });
      if (response.status !== 200) throw await errorFromResponse(response);
      session.answer = applyFragment(session.answer, await response.text());
      session.etag = response.headers.get("etag") ?? session.etag;
      await session.pc.setRemoteDescription({ type: "answer", sdp: session.answer });
    } catch (thrown) {
      if (this.#session !== session) return;
      this.#session = undefined;
      this.#release(session);
      this.#afterFailure(toOdeonError(thrown), true);
    }
  }

  #afterFailure(error: OdeonError, again = error.retryable): void {
    if (this.#state === "closed") return;
    const now = performance.now();
    this.#lostAt ??= now;
    if (!again || now - this.#lostAt > GIVE_UP_MS) {
      this.close();
      this.emit("failure", error);
      return;
    }
    this.#become("reconnecting");
    this.#retryTimer = setTimeout(() => void this.start(), this.#backoff.next());
  }

  #release(session: Session): void {
    session.stopWatching();
    // Closing first would end the session at the node too, and there would be nothing to delete.
    void this.#fetch(session.resource.href, {
      method: "DELETE",
      headers: { authorization: `Bearer ${session.token}` },
      keepalive: true,
    })
      .catch(() => undefined)
      .finally(() => session.pc.close());
  }

  #fetch(url: string, init: RequestInit): Promise<Response> {
    return (this.options.fetch ?? globalThis.fetch)(url, init);
  }

  #become(state: WhepState): void {
    if (this.#state === state || this.#state === "closed") return;
    this.#state = state;
    this.emit("state", state);
  }
}
