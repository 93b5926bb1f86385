import { Beacons, type Visit } from "@odeon/sdk";
import { type RefObject, useEffect, useRef } from "react";
import { debugging, expose } from "../../lib/debug";
import type { Protocol } from "./Player";

/** Tells analytics how this playback goes. */
export function useBeacons(
  video: RefObject<HTMLVideoElement | null>,
  visit: Visit,
  protocol: Protocol,
  latency: number | undefined,
  height: number | undefined,
): void {
  const beacons = useRef<Beacons | undefined>(undefined);
  const latest = useRef(latency);
  latest.current = latency;
  const { api, playbackToken } = visit;
  const name = visit.event.name;

  // biome-ignore lint/correctness/useExhaustiveDependencies: a renewed token is no new playback
  useEffect(() => {
    if (!video.current || !playbackToken) return undefined;
    const keepalive: typeof fetch = (input, init) => fetch(input, { ...init, keepalive: true });
    const sender = new Beacons({
      client: api.with({ token: playbackToken, fetch: keepalive }),
      event: name,
      video: video.current,
      protocol,
      latency: () => latest.current,
    });
    beacons.current = sender;
    return () => sender.end();
  }, [name, protocol]);

  useEffect(() => {
    if (height) beacons.current?.rendition(`v${height}`);
  }, [height]);
}

/** On debugged pages, reads the test card from every presented frame. */
export function useGlassMeter(video: RefObject<HTMLVideoElement | null>): void {
  useEffect(() => {
    const element = video.current;
    if (!debugging || !element) return undefined;
    let stop = (): void => undefined;
    let over = false;
    void import("@odeon/sdk/glass").then(({ GlassMeter }) => {
      if (over) return;
      const meter = new GlassMeter(element);
      expose("glass", meter);
      stop = () => meter.stop();
    });
    return () => {
      over = true;
      stop();
    };
  }, [video]);
}
