// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { OdeonClient } from "../src/client";
import { Beacon_Kind as Kind } from "../src/gen/odeon/analytics/v1/analytics_pb";
import { Beacons } from "../src/player/beacons";

interface Sent {
  sequence: bigint;
  kind: Kind;
  watched: { seconds: bigint; nanos: number };
  stalled: { seconds: bigint; nanos: number };
}

let sent: Sent[];
let away: boolean;
let video: HTMLVideoElement;
let firstFrame: () => void;
let beacons: Beacons;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  away = false;
  video = document.createElement("video");
  Object.assign(video, {
    requestVideoFrameCallback: (callback: () => void) => {
      firstFrame = callback;
      return 1;
    },
    cancelVideoFrameCallback: () => undefined,
  });
  const analytics = {
    sendBeacons: async (request: { beacons: Sent[] }) => {
      if (away) throw new Error("away");
      sent.push(...request.beacons);
    },
  };
  const client = { analytics } as unknown as OdeonClient;
  beacons = new Beacons({ client, event: "events/x", video, protocol: "hls" });
});

afterEach(() => {
  beacons.end();
  vi.useRealTimers();
});

const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
const kinds = (): Kind[] => sent.map((b) => b.kind);
const ms = (d: { seconds: bigint; nanos: number }): number =>
  Number(d.seconds) * 1000 + d.nanos / 1e6;
const total = (what: "watched" | "stalled"): number =>
  sent.reduce((sum, beacon) => sum + ms(beacon[what]), 0);

describe("a playback", () => {
  it("tells of its start, its first frame, every ten seconds, and its end", async () => {
    await pass(400);
    firstFrame();
    await pass(10_000);
    beacons.end();
    await pass(0);
    expect(kinds()).toEqual([Kind.START_REQUESTED, Kind.FIRST_FRAME, Kind.HEARTBEAT, Kind.ENDED]);
    expect(sent[1]).toMatchObject({ startup: { nanos: 400_000_000 } });
  });

  it("counts time watched apart from time stalled", async () => {
    firstFrame();
    await pass(3000);
    video.dispatchEvent(new Event("waiting"));
    await pass(2000);
    video.dispatchEvent(new Event("playing"));
    await pass(1000);
    beacons.end();
    await pass(0);
    expect(kinds()).toContain(Kind.STALL_BEGAN);
    expect(kinds()).toContain(Kind.STALL_ENDED);
    expect([total("watched"), total("stalled")]).toEqual([4000, 2000]);
  });

  it("does not count time paused", async () => {
    firstFrame();
    await pass(1000);
    video.dispatchEvent(new Event("pause"));
    await pass(5000);
    beacons.end();
    await pass(0);
    expect(total("watched")).toBe(1000);
  });
});

describe("a gateway that is away", () => {
  it("gets every beacon later, in order and numbered once", async () => {
    await pass(0);
    away = true;
    firstFrame();
    await pass(10_000);
    expect(kinds()).toEqual([Kind.START_REQUESTED]);
    away = false;
    await pass(10_000);
    const numbers = sent.map((b) => b.sequence);
    expect(kinds()).toEqual([
      Kind.START_REQUESTED,
      Kind.FIRST_FRAME,
      Kind.HEARTBEAT,
      Kind.HEARTBEAT,
    ]);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(total("watched")).toBe(20_000);
  });
});
