import { Backoff } from "../backoff";
import { Emitter } from "../emitter";
import { OdeonError, toOdeonError } from "../errors";
import type {
  StageError,
  StageJoined,
  StageServerMessage,
  TrackSource,
} from "../gen/odeon/signaling/v1/stage_pb";
import { onFirstFrame } from "../player/frames";
import type { Traceparent } from "../trace";
import { PublishConnection, type PublishOptions } from "./publish";
import { Roster } from "./roster";
import { type ClientMessage, type OpenChannel, openSocket, type StageChannel } from "./socket";
import { readStats, type StageStats, StatsMeter } from "./stats";
import { SubscribeConnection } from "./subscribe";
import { EMPTY_VIEW, type StageState, type StageView } from "./view";
import { watchIce } from "./watchdog";

/** Where to join and with what; asked again before every reconnect, since tokens are short. */
export interface StageTicket {
  url: string;
  token: string;
}

export interface StageOptions {
  ticket: () => Promise<StageTicket>;
  /** Trace of the click that leads here. */
  traceparent?: Traceparent | undefined;
  /** Subscribe to everything as it appears; true unless said otherwise. */
  autoSubscribe?: boolean;
  rtc?: RTCConfiguration;
  openChannel?: OpenChannel;
  newPeerConnection?: () => RTCPeerConnection;
}

export interface StageEvents {
  /** Something to show changed. */
  change: StageView;
  /** A refusal that did not end the stage. */
  error: OdeonError;
  /** The first picture of anybody else was decoded. */
  firstframe: { trackId: string };
}

/** After these there is no coming back with the same link. */
const FINAL_REASONS = new Set(["KICKED", "EVENT_ENDED", "REVOKED", "REPLACED"]);

/** Refusals that a later attempt may not meet. */
const PASSING_REASONS = new Set([
  "NODE_DRAINING",
  "NO_NODE_AVAILABLE",
  "UNAVAILABLE",
  "DEADLINE_EXCEEDED",
  "DATABASE_BUSY",
  "DATABASE_UNAVAILABLE",
  "SESSION_LOST",
]);

/** Attempts that fail for this long (ms) end it: the first way in, and a way back. */
const GIVE_UP_ENTERING_MS = 15_000;
const GIVE_UP_RETURNING_MS = 120_000;

const lost = (): OdeonError =>
  new OdeonError({ reason: "NETWORK" }, "the connection to the stage was lost");

interface Published {
  track: MediaStreamTrack;
  options: PublishOptions;
}

/**
 * One participant's place on a stage: who is there, what they publish, one's own tracks.
 *
 * Losing the WebSocket loses no media: the peer connections stay until a new join tells that
 * the server has forgotten them.
 */
export class Stage extends Emitter<StageEvents> {
  readonly #roster = new Roster();
  readonly #published = new Map<TrackSource, Published>();
  readonly #muted = new Set<TrackSource>();
  readonly #backoff = new Backoff();
  readonly #meter = new StatsMeter();
  readonly #newPeerConnection: () => RTCPeerConnection;
  #view: StageView = EMPTY_VIEW;
  #channel: StageChannel | undefined;
  #publishing: PublishConnection | undefined;
  #subscribing: SubscribeConnection | undefined;
  #stopWatching: () => void = () => undefined;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  #lostAt: number | undefined;
  #sawFrame = false;
  #entered: { resolve: () => void; reject: (error: OdeonError) => void } | undefined;

  constructor(private readonly options: StageOptions) {
    super();
    this.#newPeerConnection =
      options.newPeerConnection ?? (() => new RTCPeerConnection(options.rtc ?? {}));
  }

  /** What there is to show now. */
  get view(): StageView {
    return this.#view;
  }

  /** Publish and subscribe connections, for those who debug. */
  get connections(): { publish?: RTCPeerConnection; subscribe?: RTCPeerConnection } {
    return {
      ...(this.#publishing ? { publish: this.#publishing.pc } : {}),
      ...(this.#subscribing ? { subscribe: this.#subscribing.pc } : {}),
    };
  }

  /** Joins; done when the server has let this participant in, be it to wait. */
  join(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#entered = { resolve, reject };
      void this.#connect();
    });
  }

  /** Publishes a track; while waiting for admission it is kept and published then. */
  async publish(
    source: TrackSource,
    track: MediaStreamTrack,
    options: PublishOptions = {},
  ): Promise<void> {
    this.#published.set(source, { track, options });
    track.enabled = !this.#muted.has(source);
    if (this.#view.state === "joined") await this.#publishNow(source, track, options);
  }

  /** Stops publishing a source. The track itself is its maker's to stop. */
  async unpublish(source: TrackSource): Promise<void> {
    this.#published.delete(source);
    this.#muted.delete(source);
    await this.#publishing?.unpublish(source);
  }

  /** Mutes or unmutes an own source for everybody. */
  mute(source: TrackSource, muted: boolean): void {
    if (muted) this.#muted.add(source);
    else this.#muted.delete(source);
    const published = this.#published.get(source);
    if (published) published.track.enabled = !muted;
    const own = this.#roster.own(this.#view.identity, source);
    if (own) this.#send({ case: "mute", value: { trackId: own.trackId, muted } });
  }

  /** Asks for a track, or for another layer or size of it. */
  subscribe(trackId: string, size: { width?: number; height?: number; maxLayer?: string } = {}) {
    const { width = 0, height = 0, maxLayer = "" } = size;
    const value = { trackId, maxLayer, widthPx: Math.round(width), heightPx: Math.round(height) };
    this.#send({ case: "subscribe", value });
  }

  unsubscribe(trackId: string): void {
    this.#send({ case: "unsubscribe", value: { trackId } });
  }

  /** Numbers of both connections since the last call. */
  async stats(): Promise<StageStats> {
    return readStats(this.#meter, this.#publishing?.pc, this.#subscribing?.pc);
  }

  /** Measures from an element that shows a remote track when its first frame was decoded. */
  observeFirstFrame(trackId: string, video: HTMLVideoElement): () => void {
    if (this.#sawFrame) return () => undefined;
    return onFirstFrame(video, () => {
      if (this.#sawFrame) return;
      this.#sawFrame = true;
      this.emit("firstframe", { trackId });
    });
  }

  /** Leaves for good. */
  leave(): void {
    this.#send({ case: "leave", value: {} });
    this.#end("LEFT");
  }

  async #connect(): Promise<void> {
    let ticket: StageTicket;
    try {
      ticket = await this.options.ticket();
    } catch (thrown) {
      const error = toOdeonError(thrown);
      if (error.retryable) this.#retryLater(error);
      else this.#fail(error);
      return;
    }
    if (this.#view.state === "closed") return;
    const open = this.options.openChannel ?? openSocket;
    const channel = open(ticket.url, {
      onOpen: () => this.#sendJoin(ticket.token),
      onMessage: (message) => this.#onMessage(message),
      onClose: () => {
        if (this.#channel === channel) this.#lose(lost());
      },
    });
    this.#channel = channel;
  }

  #sendJoin(token: string): void {
    const { autoSubscribe = true, traceparent = "" } = this.options;
    const resume = this.#view.sessionId;
    this.#send({ case: "join", value: { token, autoSubscribe, traceparent, resume } });
  }

  #onMessage(message: StageServerMessage["message"]): void {
    switch (message.case) {
      case "joined":
        this.#onJoined(message.value);
        break;
      case "publishAnswer":
        this.#publishing?.onAnswer(message.value.sdp, message.value.revision);
        break;
      case "subscribeOffer":
        this.#subscribing?.onOffer(message.value.sdp, message.value.revision);
        break;
      case "closed":
        this.#onClosed(message.value.reason);
        break;
      case "error":
        this.#onRefusal(message.value);
        break;
      default:
        this.#onRoster(message);
    }
  }

  #onRoster(message: StageServerMessage["message"]): void {
    switch (message.case) {
      case "participantUpdated":
        this.#roster.participant(message.value);
        if (message.value.identity === this.#view.identity && message.value.admitted) this.#admit();
        break;
      case "participantLeft":
        this.#roster.left(message.value.identity);
        break;
      case "trackPublished":
        this.#roster.track(message.value);
        this.#resendMute(message.value.identity, message.value.source, message.value.muted);
        break;
      case "trackRemoved":
        this.#roster.removed(message.value.trackId);
        break;
      case "speakers":
        this.#roster.speakers(message.value);
        break;
      case "layerChanged":
        this.#roster.layer(message.value);
        break;
      default:
        return;
    }
    this.#show({});
  }

  #onJoined(joined: StageJoined): void {
    this.#backoff.reset();
    this.#lostAt = undefined;
    const resumed = joined.sessionId !== "" && joined.sessionId === this.#view.sessionId;
    this.#roster.reset(joined);
    if (!resumed || !this.#subscribing) this.#renewConnections();
    this.#show({
      state: joined.admitted ? "joined" : "waiting",
      identity: joined.identity,
      sessionId: joined.sessionId,
      role: joined.role,
      admitted: joined.admitted,
      node: joined.node,
    });
    if (joined.admitted) {
      if (resumed && this.#publishing) this.#publishing.resume();
      else this.#publishAll();
    }
    this.#entered?.resolve();
    this.#entered = undefined;
  }

  #admit(): void {
    if (this.#view.admitted) return;
    this.#show({ state: "joined", admitted: true });
    this.#publishAll();
  }

  #publishAll(): void {
    for (const [source, { track, options }] of this.#published) {
      this.#publishNow(source, track, options).catch((error: unknown) => this.#report(error));
    }
  }

  async #publishNow(source: TrackSource, track: MediaStreamTrack, options: PublishOptions) {
    this.#publishing ??= this.#openPublishing();
    await this.#publishing.publish(source, track, options);
  }

  #openPublishing(): PublishConnection {
    const connection = new PublishConnection(
      (message) => this.#send(message),
      this.#newPeerConnection,
      (error) => this.#report(error),
    );
    this.#stopWatching = watchIce(connection.pc, () => connection.restartIce());
    return connection;
  }

  #renewConnections(): void {
    this.#closeConnections();
    const connection = new SubscribeConnection(
      (message) => this.#send(message),
      this.#newPeerConnection,
      () => this.#show({}),
      (error) => this.#report(error),
    );
    this.#subscribing = connection;
  }

  #closeConnections(): void {
    this.#stopWatching();
    this.#publishing?.close();
    this.#subscribing?.close();
    this.#publishing = undefined;
    this.#subscribing = undefined;
    this.#meter.reset();
  }

  /** The server forgets mutes with the session; a track that reappears is told again. */
  #resendMute(identity: string, source: TrackSource, muted: boolean): void {
    if (identity !== this.#view.identity || muted || !this.#muted.has(source)) return;
    this.mute(source, true);
  }

  #onRefusal(refusal: StageError): void {
    const error = new OdeonError(
      { reason: refusal.reason, metadata: refusal.metadata, domain: "signaling.odeon.live" },
      refusal.message,
    );
    if (!refusal.fatal) this.emit("error", error);
    else if (PASSING_REASONS.has(refusal.reason)) this.#lose(error);
    else this.#fail(error);
  }

  #onClosed(reason: string): void {
    if (FINAL_REASONS.has(reason)) this.#end(reason);
    else this.#lose(new OdeonError({ reason }, "the stage connection was closed"));
  }

  /** The stage connection is of no more use: another is opened. */
  #lose(error: OdeonError): void {
    const channel = this.#channel;
    this.#channel = undefined;
    channel?.close();
    if (this.#view.state !== "closed") this.#retryLater(error);
  }

  #retryLater(error: OdeonError): void {
    const now = performance.now();
    this.#lostAt ??= now;
    if (now - this.#lostAt > (this.#entered ? GIVE_UP_ENTERING_MS : GIVE_UP_RETURNING_MS)) {
      this.#fail(error);
      return;
    }
    if (this.#view.sessionId) this.#show({ state: "reconnecting" });
    this.#retryTimer = setTimeout(() => void this.#connect(), this.#backoff.next());
  }

  #fail(error: OdeonError): void {
    this.#entered?.reject(error);
    this.#entered = undefined;
    this.#end(error.reason);
  }

  #end(reason: string): void {
    if (this.#view.state === "closed") return;
    clearTimeout(this.#retryTimer);
    this.#show({ state: "closed", closedReason: reason });
    this.#closeConnections();
    this.#channel?.close();
    this.#channel = undefined;
  }

  #report(thrown: unknown): void {
    this.emit("error", toOdeonError(thrown));
  }

  #send(message: ClientMessage): void {
    this.#channel?.send(message);
  }

  #show(change: Partial<StageView> & { state?: StageState }): void {
    this.#view = {
      ...this.#view,
      ...change,
      members: this.#roster.members(),
      media: this.#roster.media((mid) => this.#subscribing?.trackOf(mid)),
    };
    this.emit("change", this.#view);
  }
}
