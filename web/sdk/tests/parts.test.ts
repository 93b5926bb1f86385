import type Hls from "hls.js";
import { Events } from "hls.js";
import { beforeEach, describe, expect, it } from "vitest";
import { noteBufferedParts } from "../src/player/parts";

interface FakePart {
  start: number;
  end: number;
  elementaryStreams: { audio: object | null };
  readonly loaded: boolean;
}

const part = (index: number): FakePart => ({
  start: index / 3,
  end: (index + 1) / 3,
  elementaryStreams: { audio: null },
  get loaded() {
    return this.elementaryStreams.audio !== null;
  },
});

const ranges = (...pairs: [number, number][]) => ({
  length: pairs.length,
  start: (index: number) => pairs[index]?.[0],
  end: (index: number) => pairs[index]?.[1],
});

type Listener = (event: Events, data: object) => void;
let listeners: Map<Events, Listener>;
const send = (event: Events, data: object): void => listeners.get(event)?.(event, data);
const sound = { type: "audio" };

beforeEach(() => {
  listeners = new Map();
  const on = (event: Events, listener: Listener) => listeners.set(event, listener);
  noteBufferedParts({ on } as unknown as Pick<Hls, "on">);
});

describe("parts of the sound that were appended as one piece", () => {
  it("are noted as loaded as far as the buffer reaches", () => {
    const parts = [0, 1, 2].map(part);
    for (const one of parts) send(Events.FRAG_LOADED, { frag: sound, part: one });
    send(Events.BUFFER_APPENDED, {
      type: "audio",
      frag: sound,
      timeRanges: { audio: ranges([0, 0.666]) },
    });
    expect(parts.map((one) => one.loaded)).toEqual([true, true, false]);
  });

  it("are forgotten with the next segment", () => {
    const parts = [0, 1].map(part);
    for (const one of parts) send(Events.FRAG_LOADED, { frag: { ...sound }, part: one });
    send(Events.BUFFER_APPENDED, {
      type: "audio",
      frag: sound,
      timeRanges: { audio: ranges([0, 1]) },
    });
    expect(parts.map((one) => one.loaded)).toEqual([false, false]);
  });

  it("are the sound's alone", () => {
    const picture = part(0);
    send(Events.FRAG_LOADED, { frag: { type: "main" }, part: picture });
    send(Events.BUFFER_APPENDED, {
      type: "audio",
      frag: sound,
      timeRanges: { audio: ranges([0, 1]) },
    });
    expect(picture.loaded).toBe(false);
  });
});
