import { TrackSource } from "../gen/odeon/signaling/v1/stage_pb";
import type { ClientMessage } from "./socket";

/** How a track is sent. */
export interface PublishOptions {
  /** Three layers (RIDs q, h, f) instead of one, so that each receiver gets what fits. */
  simulcast?: boolean;
  /** Upper limit of the best layer in bits per second. */
  maxBitrateBps?: number;
  /** Frame rate limit. */
  maxFramerate?: number;
  /** Codec to prefer, e.g. "video/H264"; the browser's first choice otherwise. */
  codec?: string;
}

/** RIDs, lowest first, with the divisor of width and height of each. */
export const LAYERS = [
  { rid: "q", scale: 4 },
  { rid: "h", scale: 2 },
  { rid: "f", scale: 1 },
] as const;

const DEFAULT_VIDEO_BPS = 2_500_000;
const SCREEN_BPS = 4_000_000;

type NewPeerConnection = () => RTCPeerConnection;

/**
 * The publish connection: this side offers. One transceiver per source is kept for good, so a
 * screen that is shared again uses its media line again.
 */
export class PublishConnection {
  readonly pc: RTCPeerConnection;
  readonly #transceivers = new Map<TrackSource, RTCRtpTransceiver>();
  #revision = 0n;
  #awaitingAnswer = false;
  #dirty = false;
  #closed = false;
  #work: Promise<void> = Promise.resolve();

  constructor(
    private readonly send: (message: ClientMessage) => void,
    newPeerConnection: NewPeerConnection,
    private readonly onError: (error: unknown) => void,
  ) {
    this.pc = newPeerConnection();
  }

  /** Revision of the newest offer. */
  get revision(): bigint {
    return this.#revision;
  }

  /** Publishes a track as a source, or replaces the one that is published. */
  async publish(source: TrackSource, track: MediaStreamTrack, options: PublishOptions) {
    const existing = this.#transceivers.get(source);
    if (existing) {
      await existing.sender.replaceTrack(track);
      if (existing.direction === "sendonly") return;
      existing.direction = "sendonly";
    } else {
      this.#transceivers.set(source, this.#add(source, track, options));
    }
    this.negotiate();
  }

  /** Stops sending a source; its media line stays, inactive. */
  async unpublish(source: TrackSource): Promise<void> {
    const transceiver = this.#transceivers.get(source);
    if (!transceiver || transceiver.direction === "inactive") return;
    await transceiver.sender.replaceTrack(null);
    transceiver.direction = "inactive";
    this.negotiate();
  }

  /** The track sent as a source now. */
  trackOf(source: TrackSource): MediaStreamTrack | undefined {
    const transceiver = this.#transceivers.get(source);
    return transceiver?.direction === "sendonly"
      ? (transceiver.sender.track ?? undefined)
      : undefined;
  }

  /** Gets fresh ICE credentials on both sides. */
  restartIce(): void {
    this.pc.restartIce();
    this.negotiate();
  }

  /** Goes on after the signalling was away: an answer that was due then will never come. */
  resume(): void {
    const lost = this.pc.connectionState !== "connected";
    const unanswered = this.#awaitingAnswer;
    this.#awaitingAnswer = false;
    if (lost) this.restartIce();
    else if (unanswered) this.negotiate();
  }

  /** Offers what changed, at once or after the answer that is still due. */
  negotiate(): void {
    if (this.#closed) return;
    if (this.#awaitingAnswer) {
      this.#dirty = true;
      return;
    }
    this.#awaitingAnswer = true;
    this.#enqueue(() => this.#offer());
  }

  /** Takes an answer; one to an older offer is ignored. */
  onAnswer(sdp: string, revision: bigint): void {
    this.#enqueue(async () => {
      if (revision !== this.#revision || this.pc.signalingState !== "have-local-offer") return;
      await this.pc.setRemoteDescription({ type: "answer", sdp });
      this.#awaitingAnswer = false;
      if (this.#dirty) {
        this.#dirty = false;
        this.negotiate();
      }
    });
  }

  close(): void {
    this.#closed = true;
    this.pc.close();
  }

  async #offer(): Promise<void> {
    // What was published until now is in this offer.
    this.#dirty = false;
    const offer = await this.pc.createOffer();
    await this.pc.setLocalDescription(offer);
    for (const [source, transceiver] of this.#transceivers) {
      const mid = transceiver.mid;
      if (mid !== null) this.send({ case: "trackLabel", value: { mid, source } });
    }
    this.#revision += 1n;
    const sdp = this.pc.localDescription?.sdp ?? offer.sdp ?? "";
    this.send({ case: "publishOffer", value: { sdp, revision: this.#revision } });
  }

  #add(source: TrackSource, track: MediaStreamTrack, options: PublishOptions): RTCRtpTransceiver {
    const transceiver = this.pc.addTransceiver(track, {
      direction: "sendonly",
      ...(track.kind === "video" ? { sendEncodings: encodings(source, options) } : {}),
    });
    if (options.codec) preferCodec(transceiver, options.codec);
    return transceiver;
  }

  /** SDP steps never overlap. */
  #enqueue(step: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (this.#closed) return;
      try {
        await step();
      } catch (error) {
        this.#awaitingAnswer = false;
        if (!this.#closed) this.onError(error);
      }
    });
  }
}

/** Encodings for a video track: one, or a layer per RID with bitrates that fall with the area. */
export function encodings(
  source: TrackSource,
  options: PublishOptions,
): RTCRtpEncodingParameters[] {
  const screen = source === TrackSource.SCREEN;
  const best = options.maxBitrateBps ?? (screen ? SCREEN_BPS : DEFAULT_VIDEO_BPS);
  const common = options.maxFramerate ? { maxFramerate: options.maxFramerate } : {};
  if (!options.simulcast) return [{ maxBitrate: best, ...common }];
  return LAYERS.map(({ rid, scale }) => ({
    rid,
    scaleResolutionDownBy: scale,
    // Small pictures need more bits per pixel: the exponent is 0.75 of the area's.
    maxBitrate: Math.round(best / scale ** 1.5),
    ...common,
  }));
}

function preferCodec(transceiver: RTCRtpTransceiver, mimeType: string): void {
  const codecs = RTCRtpSender.getCapabilities(transceiver.sender.track?.kind ?? "video")?.codecs;
  if (!codecs) return;
  const wanted = mimeType.toLowerCase();
  const first = codecs.filter((c) => c.mimeType.toLowerCase() === wanted);
  const others = codecs.filter((c) => c.mimeType.toLowerCase() !== wanted);
  if (first.length > 0) transceiver.setCodecPreferences([...first, ...others]);
}
