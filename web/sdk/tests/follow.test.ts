// @vitest-environment jsdom
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { LiveFollower } from "../src/player/follow";

let video: HTMLVideoElement;
let follower: LiveFollower;
let position: number;
let sync: number | undefined;

beforeEach(() => {
  vi.useFakeTimers();
  video = document.createElement("video");
  position = 100;
  sync = 100;
  Object.defineProperties(video, {
    currentTime: {
      get: () => position,
      set: (value: number) => {
        position = value;
        video.dispatchEvent(new Event("seeking"));
      },
    },
    paused: { value: false, writable: true },
    readyState: { value: 4 },
  });
  follower = new LiveFollower(video, { sync: () => sync });
});

afterEach(() => {
  follower.stop();
  vi.useRealTimers();
});

/** Time passes; both the stream and, unless it stalls, the picture move on. */
async function play(seconds: number, stalled = false): Promise<void> {
  for (let tenth = 0; tenth < seconds * 10; tenth++) {
    if (sync !== undefined) sync += 0.1;
    if (!stalled) position += 0.1;
    video.dispatchEvent(new Event("timeupdate"));
    await vi.advanceTimersByTimeAsync(100);
  }
}

const behind = (): number => (sync ?? 0) - position;

describe("a viewer at live", () => {
  it("is brought back after a long stall", async () => {
    await play(4, true);
    await play(3);
    expect(behind()).toBeLessThan(0.5);
  });

  it("is left alone when a little late", async () => {
    await play(2, true);
    await play(10);
    expect(behind()).toBeCloseTo(2, 1);
  });
});

describe("a viewer who began somewhere else", () => {
  it("is not taken to live", async () => {
    follower.stop();
    follower = new LiveFollower(video, { sync: () => sync }, false);
    position = 0;
    await play(10);
    expect(behind()).toBeCloseTo(100, 1);
  });
});

describe("a viewer who rewound", () => {
  it("stays where they went", async () => {
    await play(5);
    video.currentTime -= 60;
    await play(30);
    expect(behind()).toBeCloseTo(60, 1);
  });

  it("follows again once they are back at live", async () => {
    await play(5);
    video.currentTime -= 60;
    await play(1);
    follower.catchUp();
    expect(follower.following).toBe(true);
    await play(4, true);
    await play(3);
    expect(behind()).toBeLessThan(0.5);
  });

  it("stays where they paused", async () => {
    video.dispatchEvent(new Event("pause"));
    await play(20, true);
    video.dispatchEvent(new Event("play"));
    await play(20);
    expect(behind()).toBeCloseTo(20, 1);
  });
});

describe("a recording", () => {
  it("has nothing to follow", async () => {
    sync = undefined;
    await play(1);
    video.currentTime = 3;
    await play(10);
    expect(position).toBeCloseTo(13, 1);
  });
});
