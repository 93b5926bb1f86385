// @vitest-environment jsdom
import { EventState, OdeonError } from "@odeon/sdk";
import { type StageView, TrackKind, TrackSource } from "@odeon/sdk/stage";
import { cleanup, fireEvent, render, screen } from "@testing-library/react";
import { MemoryRouter } from "react-router";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { preferredLanguage } from "../src/i18n";
import { troubleOf } from "../src/lib/errors";
import { clockText } from "../src/pages/studio/Heading";
import { bitrate } from "../src/pages/studio/Stats";
import { tilesOf } from "../src/stage/tilesOf";
import { cameraConstraints, troubleOfMedia } from "../src/stage/useDevices";
import { loudness } from "../src/stage/useLevel";
import { StateBadge } from "../src/ui/Badge";
import { CopyField } from "../src/ui/Field";
import { LinkForm } from "../src/ui/LinkForm";
import { startStrings } from "./support/page";

beforeAll(startStrings);
afterEach(cleanup);

const view = (change: Partial<StageView>): StageView => ({
  state: "joined",
  identity: "me",
  sessionId: "s",
  role: "host",
  admitted: true,
  node: "n",
  members: [],
  media: [],
  closedReason: undefined,
  ...change,
});

const member = (identity: string, more = {}) => ({
  identity,
  displayName: identity.toUpperCase(),
  role: "guest",
  admitted: true,
  level: 0,
  ...more,
});

const media = (identity: string, kind: TrackKind, source: TrackSource, more = {}) => ({
  trackId: `${identity}-${source}`,
  identity,
  kind,
  source,
  codec: "",
  muted: false,
  layer: "",
  paused: false,
  track: undefined,
  ...more,
});

const own = { camera: undefined, screen: undefined, microphoneMuted: false, cameraMuted: false };

describe("the pictures on stage", () => {
  it("show screens first, then oneself, then the others", () => {
    const tiles = tilesOf(
      view({
        members: [member("me"), member("bo")],
        media: [
          media("bo", TrackKind.VIDEO, TrackSource.CAMERA),
          media("bo", TrackKind.VIDEO, TrackSource.SCREEN),
          media("bo", TrackKind.AUDIO, TrackSource.MICROPHONE),
        ],
      }),
      own,
      "You",
    );
    expect(tiles.map((t) => [t.name, t.source])).toEqual([
      ["BO", TrackSource.SCREEN],
      ["You", TrackSource.CAMERA],
      ["BO", TrackSource.CAMERA],
    ]);
  });

  it("leave out who still waits", () => {
    const members = [member("me"), member("bo", { admitted: false })];
    expect(tilesOf(view({ members }), own, "You").map((t) => t.name)).toEqual(["You"]);
  });

  it("tell who has no sound and who has no picture", () => {
    const [, bo] = tilesOf(
      view({
        members: [member("me"), member("bo")],
        media: [media("bo", TrackKind.AUDIO, TrackSource.MICROPHONE, { muted: true })],
      }),
      own,
      "You",
    );
    expect(bo).toMatchObject({ soundMuted: true, pictureMuted: true });
  });

  it("tell who speaks", () => {
    const members = [member("me"), member("bo", { level: 100 })];
    expect(tilesOf(view({ members }), own, "You").map((t) => t.speaking)).toEqual([false, true]);
  });
});

describe("the link form", () => {
  const submit = (text: string): void => {
    render(
      <MemoryRouter>
        <LinkForm />
      </MemoryRouter>,
    );
    fireEvent.change(screen.getByRole("textbox"), { target: { value: text } });
    fireEvent.click(screen.getByRole("button", { name: "Open" }));
  };

  it("says when the text is no link", () => {
    submit("hello");
    expect(screen.getByRole("alert").textContent).toContain("not a link");
    expect(screen.getByRole("textbox").getAttribute("aria-invalid")).toBe("true");
  });

  it("takes a link without complaint", () => {
    submit("http://x/watch/launch#invite=a");
    expect(screen.queryByRole("alert")).toBeNull();
  });
});

describe("a field to copy", () => {
  it("copies its value and says so", async () => {
    const copied: string[] = [];
    const clipboard = { writeText: async (text: string) => void copied.push(text) };
    vi.stubGlobal("navigator", Object.assign(Object.create(navigator), { clipboard }));
    render(<CopyField label="For guests" value="http://x/guest/a" />);
    fireEvent.click(screen.getByRole("button", { name: "Copy: For guests" }));
    expect(await screen.findByRole("button", { name: "Copied" })).toBeTruthy();
    expect(copied).toEqual(["http://x/guest/a"]);
    vi.unstubAllGlobals();
  });
});

describe("an event's badge", () => {
  it.each([
    [EventState.LIVE, "Live"],
    [EventState.WARMUP, "Getting ready"],
    [EventState.SCHEDULED, "Not started"],
    [EventState.ENDED, "Ended"],
  ])("names state %i", (state, text) => {
    render(<StateBadge state={state} />);
    expect(screen.getByText(text)).toBeTruthy();
  });
});

describe("trouble", () => {
  it.each([
    ["TOKEN_EXPIRED", "linkExpired"],
    ["TOKEN_REVOKED", "linkRevoked"],
    ["EVENT_NOT_FOUND", "eventNotFound"],
    ["PERMISSION_DENIED", "notAllowed"],
    ["NETWORK", "offline"],
    ["ROOM_FULL", "full"],
    ["SOMETHING_NEW", "other"],
  ])("%s is told as %s", (reason, trouble) => {
    expect(troubleOf(new OdeonError({ reason }, "")).trouble).toBe(trouble);
  });

  it.each([
    ["NotAllowedError", "denied"],
    ["NotFoundError", "missing"],
    ["NotReadableError", "busy"],
    ["SecurityError", "insecure"],
  ])("of a device: %s is told as %s", (name, trouble) => {
    expect(troubleOfMedia(new DOMException("", name))).toBe(trouble);
  });
});

describe("small things", () => {
  it("the language is the chosen one, else the browser's, else English", () => {
    expect(preferredLanguage("zh", ["en-US"])).toBe("zh");
    expect(preferredLanguage(null, ["fr-FR", "zh-TW", "en"])).toBe("zh");
    expect(preferredLanguage("tlh", ["fr"])).toBe("en");
  });

  it("time on air reads as a clock", () => {
    expect([5, 65, 3725].map(clockText)).toEqual(["0:05", "1:05", "1:02:05"]);
  });

  it("bitrates read as people say them", () => {
    expect([bitrate(undefined), bitrate(64_400), bitrate(2_520_000)]).toEqual([
      undefined,
      "64 kb/s",
      "2.5 Mb/s",
    ]);
  });

  it("a camera is asked for 720p unless the address says otherwise", () => {
    expect(cameraConstraints("")).toMatchObject({ height: { ideal: 720 } });
    expect(cameraConstraints("?camera=640x360x15")).toMatchObject({
      width: { ideal: 640 },
      frameRate: { ideal: 15 },
    });
  });

  it("loudness is 0 in silence and 1 at full scale", () => {
    expect(loudness(new Float32Array(8))).toBe(0);
    expect(loudness(new Float32Array(8).fill(1))).toBe(1);
    expect(loudness(new Float32Array(8).fill(0.001))).toBeCloseTo(0);
  });
});
