import type { ClientMessage } from "./socket";
import { watchIce } from "./watchdog";

interface Offer {
  sdp: string;
  revision: bigint;
}

/**
 * The subscribe connection: the server offers as tracks come and go. Offers are numbered; only
 * the newest is answered, with its own revision.
 */
export class SubscribeConnection {
  pc: RTCPeerConnection;
  #waiting: Offer | undefined;
  #newest = -1n;
  #busy = false;
  #closed = false;
  #stopWatching: () => void = () => undefined;

  constructor(
    private readonly send: (message: ClientMessage) => void,
    private readonly newPeerConnection: () => RTCPeerConnection,
    private readonly onChange: () => void,
    private readonly onError: (error: unknown) => void,
  ) {
    this.pc = this.#open();
  }

  /** Takes an offer unless a newer one was seen. */
  onOffer(sdp: string, revision: bigint): void {
    if (this.#closed || revision <= this.#newest) return;
    this.#newest = revision;
    this.#waiting = { sdp, revision };
    if (!this.#busy) void this.#answerAll();
  }

  /** The medium that arrives on a media line. */
  trackOf(mid: string): MediaStreamTrack | undefined {
    const transceiver = this.pc.getTransceivers().find((t) => t.mid === mid);
    return transceiver && transceiver.currentDirection !== "inactive"
      ? transceiver.receiver.track
      : undefined;
  }

  receiverOf(mid: string): RTCRtpReceiver | undefined {
    return this.pc.getTransceivers().find((t) => t.mid === mid)?.receiver;
  }

  restartIce(): void {
    this.send({ case: "restartIce", value: {} });
  }

  close(): void {
    this.#closed = true;
    this.#waiting = undefined;
    this.#release();
  }

  #open(): RTCPeerConnection {
    const pc = this.newPeerConnection();
    pc.ontrack = () => this.onChange();
    this.#stopWatching = watchIce(pc, () => this.restartIce());
    return pc;
  }

  #release(): void {
    this.#stopWatching();
    this.pc.close();
  }

  async #answerAll(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#waiting && !this.#closed) {
        const offer = this.#waiting;
        this.#waiting = undefined;
        await this.#answer(offer);
      }
    } catch (error) {
      if (!this.#closed) this.onError(error);
    } finally {
      this.#busy = false;
    }
  }

  /** An offer that does not continue the connection there is begins a new one. */
  async #accept(sdp: string): Promise<void> {
    try {
      await this.pc.setRemoteDescription({ type: "offer", sdp });
    } catch (error) {
      if (this.pc.currentRemoteDescription === null) throw error;
      this.#release();
      this.pc = this.#open();
      await this.pc.setRemoteDescription({ type: "offer", sdp });
    }
  }

  async #answer(offer: Offer): Promise<void> {
    await this.#accept(offer.sdp);
    const answer = await this.pc.createAnswer();
    await this.pc.setLocalDescription(answer);
    if (offer.revision !== this.#newest) return;
    const sdp = this.pc.localDescription?.sdp ?? answer.sdp ?? "";
    this.send({ case: "subscribeAnswer", value: { sdp, revision: offer.revision } });
    this.onChange();
  }
}
