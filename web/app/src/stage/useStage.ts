import { eventId, type OdeonError, toOdeonError, type Visit } from "@odeon/sdk";
import { Stage, type StageView, TrackSource } from "@odeon/sdk/stage";
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { loadTracer } from "../lib/config";
import { expose, mark } from "../lib/debug";
import type { InvitePage } from "../lib/invite";
import { type Entering, enter as enterEvent } from "../lib/pass";
import type { Devices } from "./useDevices";

export interface StageEntry {
  stage: Stage | undefined;
  entering: boolean;
  error: OdeonError | undefined;
  /** Enters; done when the server has let one in, be it to wait. */
  enter: (displayName?: string) => Promise<boolean>;
  /** Leaves for good. */
  leave: () => void;
}

/** A join token younger than this (ms) is used again at a reconnect. */
const TOKEN_FRESH_MS = 60_000;

/** The page's place on the stage. */
export function useStageEntry(page: InvitePage, visit: Visit, invite: string): StageEntry {
  const [stage, setStage] = useState<Stage>();
  const [entering, setEntering] = useState(false);
  const [error, setError] = useState<OdeonError>();
  const current = useRef<Stage | undefined>(undefined);

  useEffect(() => {
    // Fetched before the click, so that the click need not wait for it.
    void loadTracer();
    const leave = (): void => current.current?.leave();
    window.addEventListener("pagehide", leave);
    return () => {
      window.removeEventListener("pagehide", leave);
      leave();
    };
  }, []);

  const enter = useCallback(
    async (displayName = ""): Promise<boolean> => {
      setEntering(true);
      setError(undefined);
      mark("join-click");
      const span = (await loadTracer()).start("join").set("odeon.protocol", "stage");
      try {
        const event = eventId(visit.event.name);
        const entering = { page, event, invite, displayName, traceparent: span.traceparent };
        const ticket = ticketOffice(entering, visit.stageUrl ?? "/stage");
        const next = new Stage({ ticket, traceparent: span.traceparent });
        const decoding = span.child("first decoded frame");
        next.on("firstframe", () => {
          mark("first-frame");
          decoding.end();
          span.end();
        });
        await next.join();
        mark("joined");
        expose("stage", next);
        current.current = next;
        setStage(next);
        return true;
      } catch (thrown) {
        span.end(thrown);
        setError(toOdeonError(thrown));
        return false;
      } finally {
        setEntering(false);
      }
    },
    [page, visit, invite],
  );

  const leave = useCallback(() => current.current?.leave(), []);
  return { stage, entering, error, enter, leave };
}

/** Gives join tokens: the invite is traded again for each join but a quick second one. */
function ticketOffice(entering: Entering, usualUrl: string) {
  let last: { url: string; token: string; at: number } | undefined;
  return async () => {
    if (last && performance.now() - last.at < TOKEN_FRESH_MS) return last;
    const entered = await enterEvent(entering);
    last = { url: entered.stageUrl ?? usualUrl, token: entered.joinToken, at: performance.now() };
    return last;
  };
}

/** What there is to show of a stage, kept current. */
export function useStageView(stage: Stage): StageView {
  const subscribe = useCallback((changed: () => void) => stage.on("change", changed), [stage]);
  return useSyncExternalStore(subscribe, () => stage.view);
}

/** Keeps what is published in step with the chosen devices. */
export function usePublishing(stage: Stage, devices: Devices): void {
  const { camera, microphone } = devices;
  useEffect(() => {
    if (camera) void stage.publish(TrackSource.CAMERA, camera, videoOptions(camera));
  }, [stage, camera]);
  useEffect(() => {
    if (microphone) void stage.publish(TrackSource.MICROPHONE, microphone);
  }, [stage, microphone]);
}

/** Three layers from 720p upwards; small pictures gain nothing from them. */
function videoOptions(camera: MediaStreamTrack) {
  const search = new URLSearchParams(window.location.search);
  const wanted = search.get("simulcast");
  const codec = search.get("codec");
  const large = (camera.getSettings().height ?? 0) >= 720;
  return {
    simulcast: wanted === null ? large : wanted === "1",
    ...(codec ? { codec: `video/${codec.toUpperCase()}` } : {}),
  };
}
