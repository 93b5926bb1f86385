import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { OdeonClient } from "../client";
import { Beacon_Kind, type BeaconSchema } from "../gen/odeon/analytics/v1/analytics_pb";
import { onFirstFrame } from "./frames";

export interface BeaconsOptions {
  /** A client whose token is the playback token. */
  client: OdeonClient;
  /** "events/{event}". */
  event: string;
  video: HTMLVideoElement;
  protocol: "hls" | "whep";
  /** Seconds from glass to glass as far as the player knows. */
  latency?: () => number | undefined;
}

type BeaconInit = MessageInitShape<typeof BeaconSchema>;

/** What a player tells while nothing happens. */
const HEARTBEAT_MS = 10_000;
/** Beacons kept while the gateway is away; the oldest go first. */
const MAX_QUEUE = 200;

/**
 * Tells analytics how playback goes: starts, first frame, stalls, time watched. Sends at every
 * change and every ten seconds; what could not be sent is sent again, numbered, so that it
 * counts once.
 */
export class Beacons {
  readonly #options: BeaconsOptions;
  readonly #startedAt = performance.now();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #undo: (() => void)[] = [];
  // Numbers must not repeat within a session, which a reload of the page keeps.
  #sequence = BigInt(Date.now()) * 1000n;
  #queue: BeaconInit[] = [];
  #sending = false;
  #countedAt = performance.now();
  #watchedMs = 0;
  #stalledMs = 0;
  #mode: "idle" | "watching" | "stalled" = "idle";
  #rendition = "";
  #ended = false;

  constructor(options: BeaconsOptions) {
    this.#options = options;
    const { video } = options;
    this.#undo.push(onFirstFrame(video, () => this.#onFirstFrame()));
    this.#listen(video, "waiting", () => this.#stall());
    this.#listen(video, "playing", () => this.#watch());
    this.#listen(video, "pause", () => this.#switch("idle"));
    this.#listen(window, "pagehide", () => this.end());
    this.#timer = setInterval(() => this.#heartbeat(), HEARTBEAT_MS);
    this.#add(Beacon_Kind.START_REQUESTED, {});
  }

  /** Names what plays now, e.g. "v720". */
  rendition(name: string): void {
    if (name === this.#rendition) return;
    this.#rendition = name;
    this.#add(Beacon_Kind.RENDITION_CHANGED, {});
  }

  error(reason: string): void {
    this.#add(Beacon_Kind.ERROR, { error: reason });
  }

  /** Says good-bye and stops. */
  end(): void {
    if (this.#ended) return;
    this.#switch("idle");
    // The page may be gone before a call under way returns; what goes twice counts once.
    this.#sending = false;
    this.#add(Beacon_Kind.ENDED, {});
    this.#ended = true;
    clearInterval(this.#timer);
    for (const undo of this.#undo) undo();
  }

  #onFirstFrame(): void {
    this.#switch("watching");
    this.#add(Beacon_Kind.FIRST_FRAME, {
      startup: duration(performance.now() - this.#startedAt),
    });
  }

  #stall(): void {
    if (this.#mode !== "watching" || this.#options.video.seeking) return;
    this.#switch("stalled");
    this.#add(Beacon_Kind.STALL_BEGAN, {});
  }

  #watch(): void {
    const stalled = this.#mode === "stalled";
    if (this.#mode !== "watching") this.#switch("watching");
    if (stalled) this.#add(Beacon_Kind.STALL_ENDED, {});
  }

  #heartbeat(): void {
    this.#add(Beacon_Kind.HEARTBEAT, {});
  }

  #switch(mode: "idle" | "watching" | "stalled"): void {
    this.#count();
    this.#mode = mode;
  }

  #count(): void {
    const now = performance.now();
    if (this.#mode === "watching") this.#watchedMs += now - this.#countedAt;
    if (this.#mode === "stalled") this.#stalledMs += now - this.#countedAt;
    this.#countedAt = now;
  }

  #add(kind: Beacon_Kind, more: BeaconInit): void {
    if (this.#ended) return;
    this.#count();
    const latency = this.#options.latency?.();
    this.#queue.push({
      sequence: ++this.#sequence,
      kind,
      clientTime: timestampFromMs(Date.now()),
      watched: duration(this.#watchedMs),
      stalled: duration(this.#stalledMs),
      rendition: this.#rendition,
      protocol: this.#options.protocol,
      ...(latency === undefined ? {} : { latency: duration(latency * 1000) }),
      ...more,
    });
    this.#watchedMs = 0;
    this.#stalledMs = 0;
    if (this.#queue.length > MAX_QUEUE) this.#queue.shift();
    void this.#send();
  }

  /** One call at a time; what arrives meanwhile goes with the next. */
  async #send(): Promise<void> {
    if (this.#sending || this.#queue.length === 0) return;
    this.#sending = true;
    const beacons = [...this.#queue];
    try {
      await this.#options.client.analytics.sendBeacons({ event: this.#options.event, beacons });
      this.#queue = this.#queue.filter((beacon) => !beacons.includes(beacon));
    } catch {
      // The next beacon tries again; losing analytics must not touch playback.
      this.#sending = false;
      return;
    }
    this.#sending = false;
    if (this.#queue.length > 0) void this.#send();
  }

  #listen(target: EventTarget, name: string, listener: () => void): void {
    target.addEventListener(name, listener);
    this.#undo.push(() => target.removeEventListener(name, listener));
  }
}

function duration(ms: number): Duration {
  const whole = Math.max(0, Math.round(ms));
  return create(DurationSchema, {
    seconds: BigInt(Math.floor(whole / 1000)),
    nanos: (whole % 1000) * 1_000_000,
  });
}
