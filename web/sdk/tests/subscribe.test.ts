import { beforeEach, describe, expect, it } from "vitest";
import type { ClientMessage } from "../src/stage/socket";
import { SubscribeConnection } from "../src/stage/subscribe";
import { FakePeerConnection, newFakeConnection, settle } from "./support/rtc";

let sent: ClientMessage[];
let errors: unknown[];
let connection: SubscribeConnection;

beforeEach(() => {
  sent = [];
  errors = [];
  FakePeerConnection.opened = [];
  connection = new SubscribeConnection(
    (message) => sent.push(message),
    newFakeConnection,
    () => undefined,
    (error) => errors.push(error),
  );
});

const revisions = (): bigint[] =>
  sent.flatMap((m) => (m?.case === "subscribeAnswer" ? [m.value.revision ?? 0n] : []));

describe("the subscribe connection", () => {
  it("answers an offer with the offer's own revision", async () => {
    connection.onOffer("a", 7n);
    await settle();
    expect(sent).toEqual([
      { case: "subscribeAnswer", value: { sdp: "answer to a", revision: 7n } },
    ]);
  });

  it("answers only the newest of offers that come in a row", async () => {
    connection.onOffer("a", 1n);
    connection.onOffer("b", 2n);
    connection.onOffer("c", 3n);
    await settle();
    expect(revisions()).toEqual([3n]);
  });

  it("ignores an offer that is older than one it has seen", async () => {
    connection.onOffer("b", 5n);
    await settle();
    connection.onOffer("a", 4n);
    connection.onOffer("b again", 5n);
    await settle();
    expect(revisions()).toEqual([5n]);
  });

  it("begins anew when an offer does not continue the connection there is", async () => {
    connection.onOffer("a", 1n);
    await settle();
    const [first] = FakePeerConnection.opened;
    first?.refuses.add("other session");
    connection.onOffer("other session", 2n);
    await settle();
    expect(first?.closed).toBe(true);
    expect(FakePeerConnection.opened).toHaveLength(2);
    expect(revisions()).toEqual([1n, 2n]);
    expect(errors).toEqual([]);
  });

  it("reports an offer that no connection takes, and takes the next", async () => {
    FakePeerConnection.opened[0]?.refuses.add("garbage");
    connection.onOffer("garbage", 1n);
    await settle();
    expect(errors).toHaveLength(1);
    connection.onOffer("good", 2n);
    await settle();
    expect(revisions()).toEqual([2n]);
  });

  it("asks for fresh credentials when its path fails", () => {
    FakePeerConnection.opened[0]?.become("failed");
    expect(sent).toEqual([{ case: "restartIce", value: {} }]);
    connection.close();
  });

  it("finds the medium of a media line", () => {
    const line = FakePeerConnection.opened[0]?.receive("4");
    expect(connection.trackOf("4")).toBe(line?.receiver.track);
    expect(connection.trackOf("5")).toBeUndefined();
  });
});
