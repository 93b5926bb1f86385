import { afterEach, describe, expect, it } from "vitest";
import { Tracer } from "../src/trace";
import { startGateway } from "./support/gateway";

let gateway: Awaited<ReturnType<typeof startGateway>> | undefined;
afterEach(() => gateway?.close());

describe("a span", () => {
  it("names itself as W3C trace context says", () => {
    const span = new Tracer().start("join");
    expect(span.traceparent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  });

  it("is part of the trace that it was started in", () => {
    const parent = new Tracer().start("join");
    const child = parent.child("first decoded frame");
    expect(child.traceId).toBe(parent.traceId);
    expect(child.spanId).not.toBe(parent.spanId);
  });

  it("goes to the gateway as OTLP/JSON, with its times and its parent", async () => {
    gateway = await startGateway(() => ({}));
    let now = 1_700_000_000_000;
    const tracer = new Tracer({ exportUrl: `${gateway.url}/v1/traces`, now: () => now });
    const span = tracer.start("join").set("odeon.protocol", "stage");
    const child = span.child("first decoded frame");
    now += 250.5;
    child.end();
    span.end();
    span.end();
    await tracer.flush();

    const [request] = gateway.seen;
    const [resource] = JSON.parse(request?.body ?? "").resourceSpans;
    const [first, second, ...more] = resource.scopeSpans[0].spans;
    expect(request?.path).toBe("/v1/traces");
    expect(more).toEqual([]);
    expect(first).toMatchObject({ parentSpanId: span.spanId, traceId: span.traceId });
    expect(second).toMatchObject({
      name: "join",
      startTimeUnixNano: "1700000000000000000",
      endTimeUnixNano: "1700000000250500000",
      attributes: [{ key: "odeon.protocol", value: { stringValue: "stage" } }],
      status: { code: 1 },
    });
  });

  it("stays here when the gateway takes no spans", async () => {
    let calls = 0;
    const fetch = async (): Promise<Response> => {
      calls += 1;
      return new Response();
    };
    const tracer = new Tracer({ fetch });
    tracer.start("join").end();
    await tracer.flush();
    expect(calls).toBe(0);
  });
});
