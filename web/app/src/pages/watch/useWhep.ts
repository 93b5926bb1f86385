import type { OdeonError, Span, Traceparent } from "@odeon/sdk";
import { WhepPlayer, type WhepState } from "@odeon/sdk/whep";
import { type RefObject, useEffect, useRef, useState } from "react";
import { loadTracer } from "../../lib/config";
import { expose, mark } from "../../lib/debug";

export interface WhepStatus {
  player: WhepPlayer | undefined;
  state: WhepState;
  failure: OdeonError | undefined;
  firstFrame: boolean;
}

const NOTHING: WhepStatus = {
  player: undefined,
  state: "connecting",
  failure: undefined,
  firstFrame: false,
};

interface WhepInput {
  video: RefObject<HTMLVideoElement | null>;
  /** Empty while another protocol plays. */
  url: string;
  token: string;
}

/** Plays by WebRTC into the element as long as `url` is set. */
export function useWhep({ video, url, token }: WhepInput): WhepStatus {
  const [status, setStatus] = useState<WhepStatus>(NOTHING);
  const present = useRef(token);
  present.current = token;

  useEffect(() => {
    // Fetched before the click that may come.
    void loadTracer();
  }, []);

  useEffect(() => {
    const element = video.current;
    if (!url || !element) return undefined;
    let player: WhepPlayer | undefined;
    let over = false;
    const update = (change: Partial<WhepStatus>): void => setStatus((s) => ({ ...s, ...change }));

    const begin = async (): Promise<void> => {
      const tracer = await loadTracer();
      if (over) return;
      const span = tracer.start("join").set("odeon.protocol", "whep");
      const traceparent: Traceparent = span.traceparent;
      const own = new WhepPlayer({
        url,
        token: () => Promise.resolve(present.current),
        video: element,
        traceparent,
      });
      player = own;
      expose("player", own);
      let frame: Span | undefined;
      own.on("state", (state) => {
        if (state === "playing") frame ??= span.child("first_frame");
        update({ state });
      });
      own.on("firstframe", () => {
        (frame ?? span.child("first_frame")).end();
        span.end();
        mark("first-frame");
        update({ firstFrame: true });
      });
      own.on("failure", (failure) => {
        span.end(failure);
        update({ failure });
      });
      update({ ...NOTHING, player: own });
      await own.start();
      void element.play().catch(() => undefined);
    };
    void begin();

    return () => {
      over = true;
      player?.close();
      setStatus(NOTHING);
    };
  }, [video, url]);

  return status;
}
