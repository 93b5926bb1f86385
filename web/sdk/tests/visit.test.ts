import { afterEach, describe, expect, it } from "vitest";
import { enterEvent, webSocketUrl } from "../src/visit";
import { type Answer, errorInfo, type Seen, startGateway } from "./support/gateway";

let gateway: Awaited<ReturnType<typeof startGateway>> | undefined;
afterEach(() => gateway?.close());

const ENTERED = {
  event: { name: "events/launch", title: "Launch", state: "STATE_LIVE" },
  role: "guest",
  identity: "p-1",
  stageUrl: "/stage",
  joinToken: "join",
  playlistUrl: "http://edge/t/x/main.m3u8",
  whepUrl: "/whep/launch",
  accessToken: "access-1",
  expireTime: "2030-01-01T00:00:00Z",
};

function refuse(reason: string, status: number, code: string): Answer {
  const value = errorInfo(reason, "auth.odeon.live");
  const details = [{ type: "google.rpc.ErrorInfo", value }];
  return { status, body: { code, message: "refused", details } };
}

const bearers = (seen: Seen[]): (string | undefined)[] => seen.map((s) => s.headers.authorization);

describe("entering an event", () => {
  it("trades the invite for a visit whose calls carry the access token", async () => {
    gateway = await startGateway((seen) =>
      seen.path.endsWith("/EnterEvent") ? { body: ENTERED } : { body: { event: ENTERED.event } },
    );
    const visit = await enterEvent({
      baseUrl: gateway.url,
      event: "launch",
      invite: "link",
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    });
    await visit.api.room.getEvent({ name: "events/launch" });

    expect(visit.stageUrl).toBe(`${gateway.url.replace("http", "ws")}/stage`);
    expect(visit.whepUrl).toBe(`${gateway.url}/whep/launch`);
    expect(bearers(gateway.seen)).toEqual(["Bearer link", "Bearer access-1"]);
    expect(gateway.seen[0]?.headers.traceparent).toContain("0af7651916cd43dd8448eb211c80319c");
    expect(gateway.seen[1]?.headers.traceparent).toBeUndefined();
  });

  it("with the pass of an earlier visit needs no invite", async () => {
    gateway = await startGateway(() => ({ body: ENTERED }));
    const entering = { baseUrl: gateway.url, event: "launch", invite: "link", pass: "access-0" };
    await enterEvent(entering);
    expect(bearers(gateway.seen)).toEqual(["Bearer access-0"]);
  });

  it("falls back to the invite when the pass is no longer accepted", async () => {
    gateway = await startGateway((seen) =>
      seen.headers.authorization === "Bearer link"
        ? { body: ENTERED }
        : refuse("TOKEN_EXPIRED", 401, "unauthenticated"),
    );
    const entering = { baseUrl: gateway.url, event: "launch", invite: "link", pass: "access-0" };
    const visit = await enterEvent(entering);
    expect(visit.accessToken).toBe("access-1");
  });

  it("does not become somebody else because the server is away for a moment", async () => {
    gateway = await startGateway(() => ({ status: 503, body: { code: "unavailable" } }));
    const entering = { baseUrl: gateway.url, event: "launch", invite: "link", pass: "access-0" };
    await expect(enterEvent(entering)).rejects.toMatchObject({ reason: "UNAVAILABLE" });
    expect(gateway.seen).toHaveLength(1);
  });

  it("fails with the reason of the refusal", async () => {
    gateway = await startGateway(() => refuse("TOKEN_EXPIRED", 401, "unauthenticated"));
    const entering = { baseUrl: gateway.url, event: "launch", invite: "link" };
    await expect(enterEvent(entering)).rejects.toMatchObject({
      name: "OdeonError",
      reason: "TOKEN_EXPIRED",
      domain: "auth.odeon.live",
    });
  });
});

describe("a WebSocket address", () => {
  it("is ws or wss as the gateway is http or https", () => {
    expect(webSocketUrl("/stage", "https://live.example.com")).toBe("wss://live.example.com/stage");
    expect(webSocketUrl("ws://x/stage", "https://live.example.com")).toBe("ws://x/stage");
  });
});
