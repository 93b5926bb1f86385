/** W3C trace context of a span: "00-<trace id>-<span id>-01". */
export type Traceparent = string;

export interface TracerOptions {
  /** Gateway that takes OTLP/JSON at /v1/traces; without it spans are kept from export. */
  exportUrl?: string | undefined;
  serviceName?: string;
  fetch?: typeof globalThis.fetch;
  /** Unix time in milliseconds, fractions welcome. */
  now?: () => number;
}

type AttributeValue = string | number | boolean;

interface OtlpSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  attributes: { key: string; value: Record<string, unknown> }[];
  status: { code: number; message?: string };
}

/** Spans wait at most this long (ms) to leave together. */
const EXPORT_DELAY_MS = 500;
/** Spans kept while the collector is away; older ones are dropped. */
const MAX_QUEUE = 64;

/** A stretch of work of the page. */
export class Span {
  readonly #attributes: Record<string, AttributeValue> = {};
  #ended = false;

  constructor(
    private readonly tracer: Tracer,
    readonly name: string,
    readonly traceId: string,
    readonly spanId: string,
    private readonly parentSpanId: string | undefined,
    private readonly startMs: number,
  ) {}

  get traceparent(): Traceparent {
    return `00-${this.traceId}-${this.spanId}-01`;
  }

  set(key: string, value: AttributeValue): this {
    this.#attributes[key] = value;
    return this;
  }

  /** Starts a part of this span. */
  child(name: string): Span {
    return this.tracer.start(name, this.traceparent);
  }

  /** Ends the span once; later calls do nothing. */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    const failed = error !== undefined;
    this.tracer.finish({
      traceId: this.traceId,
      spanId: this.spanId,
      ...(this.parentSpanId ? { parentSpanId: this.parentSpanId } : {}),
      name: this.name,
      kind: 3, // CLIENT
      startTimeUnixNano: nanoseconds(this.startMs),
      endTimeUnixNano: nanoseconds(this.tracer.now()),
      attributes: Object.entries(this.#attributes).map(([key, value]) => ({
        key,
        value: otlpValue(value),
      })),
      status: failed ? { code: 2, message: String(error) } : { code: 1 },
    });
  }
}

/** Makes spans and sends them to the gateway as OTLP/JSON (opentelemetry-proto, HTTP/JSON). */
export class Tracer {
  readonly now: () => number;
  #queue: OtlpSpan[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly options: TracerOptions = {}) {
    this.now = options.now ?? (() => performance.timeOrigin + performance.now());
  }

  /** Starts a span: the root of a new trace, or a part of `parent`. */
  start(name: string, parent?: Traceparent): Span {
    const [, traceId, parentId] = parent?.split("-") ?? [];
    return new Span(this, name, traceId ?? hex(16), hex(8), parentId, this.now());
  }

  /** Takes an ended span; used by Span. */
  finish(span: OtlpSpan): void {
    if (!this.options.exportUrl) return;
    this.#queue.push(span);
    if (this.#queue.length > MAX_QUEUE) this.#queue.shift();
    this.#timer ??= setTimeout(() => void this.flush(), EXPORT_DELAY_MS);
  }

  /** Sends what waits. A collector that is away costs the page nothing but these spans. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const spans = this.#queue;
    this.#queue = [];
    if (!this.options.exportUrl || spans.length === 0) return;
    const send = this.options.fetch ?? globalThis.fetch.bind(globalThis);
    await send(this.options.exportUrl, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(this.#request(spans)),
      keepalive: true,
    }).catch(() => undefined);
  }

  #request(spans: OtlpSpan[]): object {
    const name = this.options.serviceName ?? "odeon-web";
    return {
      resourceSpans: [
        {
          resource: { attributes: [{ key: "service.name", value: { stringValue: name } }] },
          scopeSpans: [{ scope: { name: "@odeon/sdk" }, spans }],
        },
      ],
    };
  }
}

function hex(bytes: number): string {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(random, (b) => b.toString(16).padStart(2, "0")).join("");
}

function nanoseconds(ms: number): string {
  return (BigInt(Math.round(ms * 1000)) * 1000n).toString();
}

function otlpValue(value: AttributeValue): Record<string, unknown> {
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "string") return { stringValue: value };
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}
