import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { StageServerMessageSchema, TrackKind } from "../src/gen/odeon/signaling/v1/stage_pb";
import type { ChannelEvents, ClientMessage } from "../src/stage";
import { Stage, TrackSource } from "../src/stage";
import { FakePeerConnection, fakeTrack, newFakeConnection, settle } from "./support/rtc";

type ServerMessage = NonNullable<MessageInitShape<typeof StageServerMessageSchema>["message"]>;

/** The far end of one stage connection. */
class Line {
  sent: ClientMessage[] = [];
  closed = false;
  constructor(
    readonly url: string,
    private readonly events: ChannelEvents,
  ) {}

  open(): void {
    this.events.onOpen();
  }

  async says(message: ServerMessage): Promise<void> {
    this.events.onMessage(create(StageServerMessageSchema, { message }).message);
    await settle();
  }

  async breaks(): Promise<void> {
    this.events.onClose();
    await vi.advanceTimersByTimeAsync(0);
  }

  cases(): (string | undefined)[] {
    return this.sent.map((m) => m?.case);
  }
}

let lines: Line[];
let tickets: number;
let stage: Stage;

beforeEach(() => {
  vi.useFakeTimers();
  lines = [];
  tickets = 0;
  FakePeerConnection.opened = [];
  stage = new Stage({
    ticket: async () => ({ url: "ws://node/stage", token: `token-${++tickets}` }),
    traceparent: "00-trace-span-01",
    newPeerConnection: newFakeConnection,
    openChannel: (url, events) => {
      const line = new Line(url, events);
      lines.push(line);
      return { send: (message) => line.sent.push(message), close: () => (line.closed = true) };
    },
  });
});

afterEach(() => vi.useRealTimers());

const line = (index = -1): Line => lines.at(index) as Line;

async function enter(joined: { admitted?: boolean; sessionId?: string } = {}): Promise<void> {
  const entering = stage.join();
  await vi.advanceTimersByTimeAsync(0);
  line().open();
  await line().says(welcome(joined));
  await entering;
}

function welcome({ admitted = true, sessionId = "stay-1" } = {}): ServerMessage {
  const value = { identity: "ana", sessionId, role: "guest", admitted, node: "n1" };
  return { case: "joined", value };
}

describe("joining", () => {
  it("sends the token and the trace of the click first", async () => {
    await enter();
    expect(line().sent[0]).toEqual({
      case: "join",
      value: {
        token: "token-1",
        autoSubscribe: true,
        traceparent: "00-trace-span-01",
        resume: "",
      },
    });
    expect(stage.view).toMatchObject({ state: "joined", identity: "ana", node: "n1" });
  });

  it("fails with the reason of a final refusal", async () => {
    const entering = expect(stage.join()).rejects.toMatchObject({ reason: "TOKEN_REVOKED" });
    await vi.advanceTimersByTimeAsync(0);
    line().open();
    await line().says({ case: "error", value: { reason: "TOKEN_REVOKED", fatal: true } });
    await entering;
    expect(stage.view).toMatchObject({ state: "closed", closedReason: "TOKEN_REVOKED" });
  });

  it("tries another node when the first one drains", async () => {
    const entering = stage.join();
    await vi.advanceTimersByTimeAsync(0);
    line().open();
    await line().says({ case: "error", value: { reason: "NODE_DRAINING", fatal: true } });
    await vi.advanceTimersByTimeAsync(1000);
    expect(lines).toHaveLength(2);
    line().open();
    await line().says(welcome());
    await entering;
    expect(tickets).toBe(2);
  });

  it("gives up on a server that stays away", async () => {
    const entering = expect(stage.join()).rejects.toMatchObject({ reason: "NETWORK" });
    for (let attempt = 0; attempt < 20; attempt++) {
      await vi.advanceTimersByTimeAsync(8000);
      await line().breaks();
    }
    await entering;
  });
});

describe("a waiting guest", () => {
  it("publishes nothing before a host has admitted it, and then what it holds", async () => {
    await enter({ admitted: false });
    await stage.publish(TrackSource.CAMERA, fakeTrack("video"));
    await settle();
    expect(stage.view.state).toBe("waiting");
    expect(line().cases()).toEqual(["join"]);

    await line().says({
      case: "participantUpdated",
      value: { identity: "ana", displayName: "Ana", role: "guest", admitted: true },
    });
    expect(stage.view.state).toBe("joined");
    expect(line().cases()).toEqual(["join", "trackLabel", "publishOffer"]);
  });
});

describe("what others publish", () => {
  it("is shown with the medium of its media line", async () => {
    await enter();
    const subscribe = FakePeerConnection.opened[0];
    const media = subscribe?.receive("0").receiver.track;
    await line().says({
      case: "trackPublished",
      value: { trackId: "t1", identity: "bo", kind: TrackKind.VIDEO, mid: "0" },
    });
    expect(stage.view.media).toMatchObject([{ trackId: "t1", identity: "bo", track: media }]);

    await line().says({
      case: "trackPublished",
      value: { trackId: "t1", identity: "bo", mid: "" },
    });
    expect(stage.view.media[0]?.track).toBeUndefined();

    await line().says({ case: "participantLeft", value: { identity: "bo" } });
    expect(stage.view.media).toEqual([]);
  });
});

describe("muting", () => {
  it("silences the track here and tells everybody once the server knows the track", async () => {
    await enter();
    const microphone = fakeTrack("audio");
    await stage.publish(TrackSource.MICROPHONE, microphone);
    stage.mute(TrackSource.MICROPHONE, true);
    expect(microphone.enabled).toBe(false);
    expect(line().cases()).not.toContain("mute");

    const own = { trackId: "m1", identity: "ana", source: TrackSource.MICROPHONE };
    await line().says({ case: "trackPublished", value: own });
    expect(line().sent.at(-1)).toEqual({ case: "mute", value: { trackId: "m1", muted: true } });
  });

  it("outlives a change of device", async () => {
    await enter();
    await stage.publish(TrackSource.MICROPHONE, fakeTrack("audio"));
    stage.mute(TrackSource.MICROPHONE, true);
    const other = fakeTrack("audio");
    await stage.publish(TrackSource.MICROPHONE, other);
    expect(other.enabled).toBe(false);
  });
});

describe("a broken stage connection", () => {
  it("comes back with a new ticket and asks for its stay", async () => {
    await enter();
    await line().breaks();
    expect(stage.view.state).toBe("reconnecting");
    expect(lines).toHaveLength(2);
    line().open();
    expect(line().sent[0]).toMatchObject({ value: { token: "token-2", resume: "stay-1" } });
  });

  it("keeps its media when the stay goes on", async () => {
    await enter();
    await stage.publish(TrackSource.CAMERA, fakeTrack("video"));
    await settle();
    await line().says({ case: "publishAnswer", value: { sdp: "ok", revision: 1n } });
    await line().breaks();
    line().open();
    await line().says(welcome());
    expect(stage.view.state).toBe("joined");
    expect(FakePeerConnection.opened.map((pc) => pc.closed)).toEqual([false, false]);
    expect(line().cases()).toEqual(["join"]);
  });

  it("publishes again when the server has forgotten the stay", async () => {
    await enter();
    await stage.publish(TrackSource.CAMERA, fakeTrack("video"));
    await settle();
    await line().breaks();
    line().open();
    await line().says(welcome({ sessionId: "stay-2" }));
    expect(FakePeerConnection.opened.map((pc) => pc.closed)).toEqual([true, true, false, false]);
    expect(line().cases()).toEqual(["join", "trackLabel", "publishOffer"]);
  });
});

describe("the end", () => {
  it.each(["KICKED", "EVENT_ENDED", "REVOKED", "REPLACED"])("by %s is final", async (reason) => {
    await enter();
    await line().says({ case: "closed", value: { reason } });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(stage.view).toMatchObject({ state: "closed", closedReason: reason });
    expect(lines).toHaveLength(1);
    expect(FakePeerConnection.opened.every((pc) => pc.closed)).toBe(true);
  });

  it.each(["NODE_DRAINING", "SESSION_LOST"])("by %s is a reconnect", async (reason) => {
    await enter();
    await line().says({ case: "closed", value: { reason } });
    await vi.advanceTimersByTimeAsync(10);
    expect(stage.view.state).toBe("reconnecting");
    expect(lines).toHaveLength(2);
  });

  it("by leaving says good-bye", async () => {
    await enter();
    stage.leave();
    expect(line().cases().at(-1)).toBe("leave");
    expect(stage.view).toMatchObject({ state: "closed", closedReason: "LEFT" });
  });
});

describe("a refusal on the way", () => {
  it("is told and ends nothing", async () => {
    await enter();
    const reasons: string[] = [];
    stage.on("error", (error) => reasons.push(error.reason));
    await line().says({ case: "error", value: { reason: "MUTED_BY_HOST", fatal: false } });
    expect(reasons).toEqual(["MUTED_BY_HOST"]);
    expect(stage.view.state).toBe("joined");
  });
});
