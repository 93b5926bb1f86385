import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  type StageClientMessage,
  StageClientMessageSchema,
  type StageServerMessage,
  StageServerMessageSchema,
} from "../gen/odeon/signaling/v1/stage_pb";

export const STAGE_SUBPROTOCOL = "odeon.stage.v1";

/** A quiet connection is asked for a sign of life this often (ms). */
const PING_INTERVAL_MS = 5000;
/** Without any message for this long (ms) the connection counts as broken. */
const SILENCE_LIMIT_MS = 15_000;

export type ClientMessage = MessageInitShape<typeof StageClientMessageSchema>["message"];
type ServerMessage = StageServerMessage["message"];

/** What the rest of the stage needs of a connection; tests bring their own. */
export interface StageChannel {
  send(message: ClientMessage): void;
  close(): void;
}

export interface ChannelEvents {
  onOpen(): void;
  onMessage(message: ServerMessage): void;
  /** Called once, whoever closed. */
  onClose(): void;
}

export type OpenChannel = (url: string, events: ChannelEvents) => StageChannel;

/** The stage protocol over the gateway's WebSocket: one protobuf message per binary frame. */
export class StageSocket implements StageChannel {
  readonly #socket: WebSocket;
  readonly #timer: ReturnType<typeof setInterval>;
  #heardAt = performance.now();
  #pings = 0n;
  #closed = false;

  constructor(
    url: string,
    private readonly events: ChannelEvents,
  ) {
    this.#socket = new WebSocket(url, STAGE_SUBPROTOCOL);
    this.#socket.binaryType = "arraybuffer";
    this.#socket.onopen = () => events.onOpen();
    this.#socket.onmessage = (event) => this.#receive(event.data as ArrayBuffer);
    this.#socket.onclose = () => this.#finish();
    this.#timer = setInterval(() => this.#checkLife(), PING_INTERVAL_MS);
  }

  send(message: ClientMessage): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(encodeClient(message));
  }

  close(): void {
    this.#socket.close(1000);
    this.#finish();
  }

  #receive(data: ArrayBuffer): void {
    this.#heardAt = performance.now();
    const { message } = fromBinary(StageServerMessageSchema, new Uint8Array(data));
    if (!this.#closed) this.events.onMessage(message);
  }

  #checkLife(): void {
    if (performance.now() - this.#heardAt > SILENCE_LIMIT_MS) {
      // A dead path can keep close() from ever being confirmed: don't wait for it.
      this.close();
      return;
    }
    this.send({ case: "ping", value: { id: ++this.#pings } });
  }

  #finish(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#timer);
    this.events.onClose();
  }
}

/** Opens a WebSocket; the default way to a stage. */
export const openSocket: OpenChannel = (url, events) => new StageSocket(url, events);

export function encodeClient(message: ClientMessage): Uint8Array<ArrayBuffer> {
  const whole: StageClientMessage = create(StageClientMessageSchema, { message });
  return toBinary(StageClientMessageSchema, whole) as Uint8Array<ArrayBuffer>;
}
