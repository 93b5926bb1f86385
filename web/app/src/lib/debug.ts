/** What tests and curious people may look at, on pages opened with ?debug=1. */
export interface DebugHooks {
  /** The player of the watch page (HlsPlayer or WhepPlayer). */
  player?: unknown;
  /** The Stage of the studio and guest pages. */
  stage?: unknown;
  /** Reads the test card from the frames of the player (GlassMeter). */
  glass?: unknown;
  /** What the invite was traded for. */
  visit?: unknown;
  /** Player's own estimate of its latency, once a second. */
  latency: { at: number; seconds: number; protocol: string }[];
  /** Unix milliseconds of steps of the way in. */
  marks: Record<string, number>;
}

declare global {
  interface Window {
    __odeon?: DebugHooks;
  }
}

const MAX_SAMPLES = 7200;

export const debugging = new URLSearchParams(window.location.search).get("debug") === "1";

if (debugging) window.__odeon = { latency: [], marks: {} };

export function expose<K extends "player" | "stage" | "visit" | "glass">(
  name: K,
  value: DebugHooks[K],
): void {
  if (window.__odeon) window.__odeon[name] = value;
}

export function mark(name: string): void {
  if (window.__odeon) window.__odeon.marks[name] = performance.timeOrigin + performance.now();
}

export function sampleLatency(seconds: number, protocol: string): void {
  const samples = window.__odeon?.latency;
  if (!samples) return;
  samples.push({ at: Date.now(), seconds, protocol });
  if (samples.length > MAX_SAMPLES) samples.shift();
}
