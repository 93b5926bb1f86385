import { beforeEach, describe, expect, it } from "vitest";
import { TrackSource } from "../src/stage";
import { encodings, PublishConnection } from "../src/stage/publish";
import type { ClientMessage } from "../src/stage/socket";
import { FakePeerConnection, fakeTrack, newFakeConnection, settle } from "./support/rtc";

let sent: ClientMessage[];
let connection: PublishConnection;

beforeEach(() => {
  sent = [];
  FakePeerConnection.opened = [];
  connection = new PublishConnection(
    (message) => sent.push(message),
    newFakeConnection,
    (error) => {
      throw error;
    },
  );
});

const offers = (): bigint[] =>
  sent.flatMap((m) => (m?.case === "publishOffer" ? [m.value.revision ?? 0n] : []));
const pc = (): FakePeerConnection => FakePeerConnection.opened[0] as FakePeerConnection;

describe("the publish connection", () => {
  it("offers camera and microphone together, each labelled before the offer", async () => {
    await Promise.all([
      connection.publish(TrackSource.CAMERA, fakeTrack("video"), {}),
      connection.publish(TrackSource.MICROPHONE, fakeTrack("audio"), {}),
    ]);
    await settle();
    expect(sent.map((m) => m?.case)).toEqual(["trackLabel", "trackLabel", "publishOffer"]);
    connection.onAnswer("ok", 1n);
    await settle();
    expect(offers()).toEqual([1n]);
  });

  it("waits for the answer that is due before it offers again", async () => {
    await connection.publish(TrackSource.CAMERA, fakeTrack("video"), {});
    await settle();
    await connection.publish(TrackSource.SCREEN, fakeTrack("video"), {});
    await settle();
    expect(offers()).toEqual([1n]);
    connection.onAnswer("ok", 1n);
    await settle();
    expect(offers()).toEqual([1n, 2n]);
  });

  it("ignores an answer to an older offer", async () => {
    await connection.publish(TrackSource.CAMERA, fakeTrack("video"), {});
    await settle();
    connection.onAnswer("late", 0n);
    await settle();
    expect(pc().currentRemoteDescription).toBeNull();
    connection.onAnswer("ok", 1n);
    await settle();
    expect(pc().currentRemoteDescription?.sdp).toBe("ok");
  });

  it("replaces a track without a new offer", async () => {
    await connection.publish(TrackSource.CAMERA, fakeTrack("video"), {});
    await settle();
    connection.onAnswer("ok", 1n);
    await settle();
    const other = fakeTrack("video");
    await connection.publish(TrackSource.CAMERA, other, {});
    await settle();
    expect(connection.trackOf(TrackSource.CAMERA)).toBe(other);
    expect(offers()).toEqual([1n]);
  });

  it("uses a screen's media line again when it is shared again", async () => {
    await connection.publish(TrackSource.SCREEN, fakeTrack("video"), {});
    await settle();
    connection.onAnswer("ok", 1n);
    await settle();
    await connection.unpublish(TrackSource.SCREEN);
    await settle();
    connection.onAnswer("ok", 2n);
    await settle();
    await connection.publish(TrackSource.SCREEN, fakeTrack("video"), {});
    await settle();
    expect(pc().getTransceivers()).toHaveLength(1);
    expect(offers()).toEqual([1n, 2n, 3n]);
  });

  it("offers once more after a break, when an answer was still due", async () => {
    await connection.publish(TrackSource.CAMERA, fakeTrack("video"), {});
    await settle();
    connection.resume();
    await settle();
    expect(offers()).toEqual([1n, 2n]);
    expect(pc().restarts).toBe(0);
  });

  it("asks for fresh credentials after a break in which the path was lost", async () => {
    await connection.publish(TrackSource.CAMERA, fakeTrack("video"), {});
    await settle();
    connection.onAnswer("ok", 1n);
    await settle();
    pc().connectionState = "failed";
    connection.resume();
    await settle();
    expect(pc().restarts).toBe(1);
    expect(offers()).toEqual([1n, 2n]);
  });

  it("does nothing after a break when all is well", async () => {
    await connection.publish(TrackSource.CAMERA, fakeTrack("video"), {});
    await settle();
    connection.onAnswer("ok", 1n);
    await settle();
    connection.resume();
    await settle();
    expect(offers()).toEqual([1n]);
  });
});

describe("simulcast", () => {
  it("sends three layers, lowest first, with less for smaller pictures", () => {
    const layers = encodings(TrackSource.CAMERA, { simulcast: true, maxBitrateBps: 2_000_000 });
    expect(layers.map((l) => [l.rid, l.scaleResolutionDownBy])).toEqual([
      ["q", 4],
      ["h", 2],
      ["f", 1],
    ]);
    const bitrates = layers.map((l) => l.maxBitrate ?? 0);
    expect(bitrates).toEqual([...bitrates].sort((a, b) => a - b));
    expect(bitrates[2]).toBe(2_000_000);
  });

  it("is left out unless it is asked for", () => {
    expect(encodings(TrackSource.SCREEN, {})).toEqual([{ maxBitrate: 4_000_000 }]);
  });
});
