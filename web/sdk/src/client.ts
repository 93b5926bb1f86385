import type { DescService } from "@bufbuild/protobuf";
import { type Client, createClient, type Interceptor, type Transport } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-web";
import { toOdeonError } from "./errors";
import { AnalyticsService } from "./gen/odeon/analytics/v1/analytics_pb";
import { AuthService } from "./gen/odeon/auth/v1/auth_pb";
import { RecorderService } from "./gen/odeon/recorder/v1/recorder_pb";
import { RoomService } from "./gen/odeon/room/v1/room_pb";
import type { Traceparent } from "./trace";

export interface OdeonClientOptions {
  /** Base address of the gateway, e.g. "https://live.example.com". */
  baseUrl: string;
  /** Bearer token, or where to get the present one; without it only public calls work. */
  token?: string | (() => string | undefined) | undefined;
  /** Protobuf on the wire instead of JSON: smaller, not readable in developer tools. */
  binary?: boolean;
  /** Trace that the calls belong to. */
  traceparent?: Traceparent | (() => Traceparent | undefined) | undefined;
  /** Limit for one unary call in milliseconds. */
  timeoutMs?: number;
  fetch?: typeof globalThis.fetch;
}

/** Every service of the gateway that a page may call; refusals are OdeonErrors. */
export class OdeonClient {
  readonly auth: Client<typeof AuthService>;
  readonly room: Client<typeof RoomService>;
  readonly recorder: Client<typeof RecorderService>;
  readonly analytics: Client<typeof AnalyticsService>;
  readonly baseUrl: string;
  readonly #transport: Transport;

  constructor(private readonly options: OdeonClientOptions) {
    this.baseUrl = options.baseUrl.replace(/\/+$/, "");
    this.#transport = createConnectTransport({
      baseUrl: this.baseUrl,
      useBinaryFormat: options.binary ?? false,
      interceptors: [credentials(options)],
      defaultTimeoutMs: options.timeoutMs ?? 15_000,
      ...(options.fetch ? { fetch: options.fetch } : {}),
    });
    this.auth = this.service(AuthService);
    this.room = this.service(RoomService);
    this.recorder = this.service(RecorderService);
    this.analytics = this.service(AnalyticsService);
  }

  /** A typed client of any service that the gateway exposes. */
  service<T extends DescService>(descriptor: T): Client<T> {
    return withOdeonErrors(createClient(descriptor, this.#transport));
  }

  /** The same client with other options, e.g. another token. */
  with(options: Partial<OdeonClientOptions>): OdeonClient {
    return new OdeonClient({ ...this.options, ...options });
  }
}

function credentials(options: OdeonClientOptions): Interceptor {
  return (next) => (request) => {
    const token = resolve(options.token);
    if (token) request.header.set("authorization", `Bearer ${token}`);
    const traceparent = resolve(options.traceparent);
    if (traceparent) request.header.set("traceparent", traceparent);
    return next(request);
  };
}

function resolve<T extends string>(value: T | (() => T | undefined) | undefined): T | undefined {
  return typeof value === "function" ? value() : value;
}

type AnyCall = (...args: unknown[]) => Promise<unknown> | AsyncIterable<unknown>;

/** Wraps each method so that its promise or stream fails with an OdeonError. */
function withOdeonErrors<T extends object>(client: T): T {
  return new Proxy(client, {
    get(target, key, receiver) {
      const member: unknown = Reflect.get(target, key, receiver);
      if (typeof member !== "function") return member;
      return (...args: unknown[]) => {
        const result = (member as AnyCall).apply(target, args);
        return isStream(result) ? mapStream(result) : mapPromise(result);
      };
    },
  });
}

function isStream(result: unknown): result is AsyncIterable<unknown> {
  return typeof result === "object" && result !== null && Symbol.asyncIterator in result;
}

async function mapPromise(result: Promise<unknown>): Promise<unknown> {
  try {
    return await result;
  } catch (error) {
    throw toOdeonError(error);
  }
}

async function* mapStream(result: AsyncIterable<unknown>): AsyncGenerator<unknown> {
  try {
    yield* result;
  } catch (error) {
    throw toOdeonError(error);
  }
}
