import { describe, expect, it } from "vitest";
import { applyFragment, iceCredentials, restartFragment } from "../src/player/sdp";

const lines = (...all: string[]): string => `${all.join("\r\n")}\r\n`;

const OFFER = lines(
  "v=0",
  "a=group:BUNDLE 0 1",
  "m=video 9 UDP/TLS/RTP/SAVPF 96",
  "a=mid:0",
  "a=ice-ufrag:new",
  "a=ice-pwd:newpassword",
  "m=audio 9 UDP/TLS/RTP/SAVPF 111",
  "a=mid:1",
  "a=ice-ufrag:new",
  "a=ice-pwd:newpassword",
);

const ANSWER = lines(
  "v=0",
  "a=ice-lite",
  "m=video 9 UDP/TLS/RTP/SAVPF 96",
  "a=mid:0",
  "a=ice-ufrag:old",
  "a=ice-pwd:oldpassword",
  "a=candidate:1 1 udp 1 127.0.0.1 4000 typ host",
  "a=fingerprint:sha-256 AA",
);

describe("an ICE restart of a WHEP session", () => {
  it("sends the new credentials with the first media line, as RFC 9725 shows", () => {
    expect(restartFragment(OFFER)).toBe(
      lines(
        "a=group:BUNDLE 0 1",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=mid:0",
        "a=ice-ufrag:new",
        "a=ice-pwd:newpassword",
      ),
    );
  });

  it("puts the server's new credentials and candidates into the former answer", () => {
    const fragment = lines(
      "a=ice-ufrag:srv",
      "a=ice-pwd:srvpassword",
      "a=candidate:1 1 udp 1 127.0.0.1 5000 typ host",
    );
    const answer = applyFragment(ANSWER, fragment);
    expect(iceCredentials(answer)).toEqual({ ufrag: "srv", pwd: "srvpassword" });
    expect(answer).toContain("5000");
    expect(answer).not.toContain("4000");
    expect(answer).toContain("a=fingerprint:sha-256 AA");
  });

  it("keeps the candidates when the server sends none", () => {
    const answer = applyFragment(ANSWER, lines("a=ice-ufrag:srv", "a=ice-pwd:srvpassword"));
    expect(answer).toContain("4000");
  });

  it("refuses a fragment without credentials", () => {
    expect(() => applyFragment(ANSWER, "")).toThrow(TypeError);
  });
});
