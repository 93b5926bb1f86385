import { type Stage, TrackSource } from "@odeon/sdk/stage";
import { useCallback, useEffect, useRef, useState } from "react";

/** Sharing a screen or window, with its sound where the browser gives it. */
export function useScreenShare(stage: Stage) {
  const [track, setTrack] = useState<MediaStreamTrack>();
  const stream = useRef<MediaStream | undefined>(undefined);

  const stop = useCallback(() => {
    for (const t of stream.current?.getTracks() ?? []) t.stop();
    stream.current = undefined;
    setTrack(undefined);
    void stage.unpublish(TrackSource.SCREEN);
    void stage.unpublish(TrackSource.SCREEN_AUDIO);
  }, [stage]);

  const start = useCallback(async () => {
    const shared = await navigator.mediaDevices
      .getDisplayMedia({ video: { frameRate: { ideal: 15, max: 30 } }, audio: true })
      .catch(() => undefined); // The person has closed the browser's dialog.
    const [video] = shared?.getVideoTracks() ?? [];
    if (!shared || !video) return;
    const [audio] = shared.getAudioTracks();
    stream.current = shared;
    video.contentHint = "detail";
    video.addEventListener("ended", stop);
    setTrack(video);
    await stage.publish(TrackSource.SCREEN, video);
    if (audio) await stage.publish(TrackSource.SCREEN_AUDIO, audio);
  }, [stage, stop]);

  useEffect(
    () => () => {
      for (const t of stream.current?.getTracks() ?? []) t.stop();
    },
    [],
  );

  const possible = typeof navigator.mediaDevices?.getDisplayMedia === "function";
  return { track, possible, start, stop };
}
