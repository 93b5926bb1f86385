import type Hls from "hls.js";
import { Events } from "hls.js";
import { beforeEach, describe, expect, it } from "vitest";
import { noteBufferedParts, notePartsOfClones } from "../src/player/parts";

type Kind = "audio" | "video";

interface FakePart {
  start: number;
  end: number;
  elementaryStreams: Record<Kind, object | null>;
  readonly loaded: boolean;
}

const part = (index: number): FakePart => ({
  start: index / 3,
  end: (index + 1) / 3,
  elementaryStreams: { audio: null, video: null },
  get loaded() {
    return this.elementaryStreams.audio !== null || this.elementaryStreams.video !== null;
  },
});

const ranges = (...pairs: [number, number][]) => ({
  length: pairs.length,
  start: (index: number) => pairs[index]?.[0],
  end: (index: number) => pairs[index]?.[1],
});

type Listener = (event: Events, data: object) => void;
let listeners: [Events, Listener][];
const send = (event: Events, data: object): void => {
  for (const [wanted, listener] of listeners) if (wanted === event) listener(event, data);
};

/** A segment as one refresh of a playlist describes it. */
const sound = (sn = 7, level = 0) => ({ type: "audio", sn, level });
const picture = (sn = 7, level = 0) => ({ type: "main", sn, level });
const arrive = (frag: object, ...parts: FakePart[]) => {
  for (const one of parts) send(Events.FRAG_LOADED, { frag, part: one });
};
const append = (type: Kind, frag: object, from: number, to: number) =>
  send(Events.BUFFER_APPENDED, { type, frag, timeRanges: { [type]: ranges([from, to]) } });

beforeEach(() => {
  listeners = [];
  const on = (event: Events, listener: Listener) => listeners.push([event, listener]);
  noteBufferedParts({ on } as unknown as Pick<Hls, "on">);
});

describe("parts of the sound that were appended as one piece", () => {
  it("are noted as loaded as far as the buffer reaches", () => {
    const parts = [0, 1, 2].map(part);
    arrive(sound(), ...parts);
    append("audio", sound(), 0, 0.666);
    expect(parts.map((one) => one.loaded)).toEqual([true, true, false]);
  });

  it("are forgotten with the next segment", () => {
    const [old, next] = [part(0), part(1)];
    arrive(sound(7), old);
    arrive(sound(8), next);
    append("audio", sound(8), 0, 1);
    expect([old.loaded, next.loaded]).toEqual([false, true]);
  });

  it("are not the picture's", () => {
    const seen = part(0);
    arrive(picture(), seen);
    append("audio", sound(), 0, 1);
    expect(seen.loaded).toBe(false);
  });
});

describe("parts of the picture that were taken for evicted", () => {
  const forget = (parts: FakePart[]) => {
    for (const one of parts) one.elementaryStreams.video = null;
  };

  it("count again with the next part that is appended", () => {
    const parts = [0, 1, 2].map(part);
    for (const one of parts) arrive(picture(), one);
    forget(parts);
    append("video", picture(), 0, 1);
    expect(parts.map((one) => one.loaded)).toEqual([true, true, true]);
  });

  it("stay evicted if they are", () => {
    const parts = [0, 1, 2].map(part);
    arrive(picture(), ...parts);
    append("video", picture(), 0.666, 1);
    expect(parts.map((one) => one.loaded)).toEqual([false, false, true]);
  });

  it("are another quality's business after a change", () => {
    const parts = [0, 1].map(part);
    arrive(picture(7, 0), ...parts);
    arrive(picture(7, 1), part(2));
    append("video", picture(7, 1), 0, 1);
    expect(parts.map((one) => one.loaded)).toEqual([false, false]);
  });
});

describe("parts of the picture after a move to another pathway", () => {
  const level = (pathwayId: string, height = 720) => ({ pathwayId, height, bitrate: height });
  const moved = (to: object): FakePart[] => {
    listeners = [];
    const on = (event: Events, listener: Listener) => listeners.push([event, listener]);
    const levels = [level("main"), to];
    const media = { buffered: ranges([0, 0.666]) };
    notePartsOfClones({ on, levels, media } as unknown as Pick<Hls, "on" | "levels" | "media">);
    const partList = [0, 1, 2].map(part);
    send(Events.FRAG_BUFFERED, { frag: picture(7, 0) });
    send(Events.LEVEL_UPDATED, { level: 1, details: { partList } });
    return partList;
  };

  it("count as loaded if the buffer holds them", () => {
    expect(moved(level("edge-2")).map((one) => one.loaded)).toEqual([true, true, false]);
  });

  it("are another quality's on the same pathway, and on another one", () => {
    for (const other of [level("main", 360), level("edge-2", 360)]) {
      expect(moved(other).map((one) => one.loaded)).toEqual([false, false, false]);
    }
  });
});
