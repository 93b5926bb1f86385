/** A connection that is "disconnected" for this long (ms) gets an ICE restart. */
const DISCONNECTED_LIMIT_MS = 2500;
/** Between two restarts of one connection (ms). */
const RESTART_PAUSE_MS = 5000;

/** Asks for an ICE restart when a peer connection loses its path. Returns how to stop. */
export function watchIce(pc: RTCPeerConnection, restart: () => void): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;

  const check = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const state = pc.iceConnectionState;
    if (state === "disconnected") timer = setTimeout(retry, DISCONNECTED_LIMIT_MS);
    if (state === "failed") retry();
  };
  const retry = (): void => {
    const state = pc.iceConnectionState;
    if (state !== "disconnected" && state !== "failed") return;
    restart();
    timer = setTimeout(retry, RESTART_PAUSE_MS);
  };

  pc.addEventListener("iceconnectionstatechange", check);
  return () => {
    clearTimeout(timer);
    pc.removeEventListener("iceconnectionstatechange", check);
  };
}
