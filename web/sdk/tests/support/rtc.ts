/** A peer connection that keeps to the order of SDP steps and sends nothing. */
export class FakePeerConnection extends EventTarget {
  static opened: FakePeerConnection[] = [];
  signalingState = "stable";
  connectionState = "connected";
  iceConnectionState = "connected";
  localDescription: { type: string; sdp: string } | null = null;
  currentRemoteDescription: { type: string; sdp: string } | null = null;
  closed = false;
  restarts = 0;
  offers = 0;
  ontrack: (() => void) | null = null;
  readonly #transceivers: FakeTransceiver[] = [];
  /** Descriptions that this connection refuses. */
  refuses = new Set<string>();

  constructor() {
    super();
    FakePeerConnection.opened.push(this);
  }

  addTransceiver(track: unknown, init: { direction: string; sendEncodings?: unknown[] }) {
    const transceiver = new FakeTransceiver(track, init.direction, init.sendEncodings);
    this.#transceivers.push(transceiver);
    return transceiver;
  }

  getTransceivers(): FakeTransceiver[] {
    return this.#transceivers;
  }

  /** The far side adds a media line. */
  receive(mid: string): FakeTransceiver {
    const transceiver = new FakeTransceiver(null, "recvonly");
    transceiver.mid = mid;
    transceiver.currentDirection = "recvonly";
    this.#transceivers.push(transceiver);
    return transceiver;
  }

  async createOffer() {
    this.offers += 1;
    return { type: "offer", sdp: `offer ${this.offers}` };
  }

  async createAnswer() {
    return { type: "answer", sdp: `answer to ${this.currentRemoteDescription?.sdp}` };
  }

  async setLocalDescription(description: { type: string; sdp: string }) {
    this.localDescription = description;
    this.signalingState = description.type === "offer" ? "have-local-offer" : "stable";
    this.#transceivers.forEach((t, index) => {
      t.mid ??= String(index);
    });
  }

  async setRemoteDescription(description: { type: string; sdp: string }) {
    await Promise.resolve();
    if (this.refuses.has(description.sdp)) throw new Error("InvalidAccessError");
    this.currentRemoteDescription = description;
    this.signalingState = description.type === "offer" ? "have-remote-offer" : "stable";
  }

  restartIce(): void {
    this.restarts += 1;
  }

  close(): void {
    this.closed = true;
  }

  become(state: string): void {
    this.iceConnectionState = state;
    this.dispatchEvent(new Event("iceconnectionstatechange"));
  }
}

export class FakeTransceiver {
  mid: string | null = null;
  currentDirection: string | null = null;
  readonly sender: { track: unknown; replaceTrack: (track: unknown) => Promise<void> };
  readonly receiver = { track: { kind: "video" } };

  constructor(
    track: unknown,
    public direction: string,
    readonly encodings: unknown[] = [],
  ) {
    this.sender = {
      track,
      replaceTrack: async (next) => {
        this.sender.track = next;
      },
    };
  }
}

export function fakeTrack(kind: "audio" | "video"): MediaStreamTrack {
  return { kind, enabled: true } as MediaStreamTrack;
}

export const newFakeConnection = (): RTCPeerConnection =>
  new FakePeerConnection() as unknown as RTCPeerConnection;

/** Lets what was promised happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
}
