/** Calls back once when an element has presented a decoded frame. Returns how to give up. */
export function onFirstFrame(video: HTMLVideoElement, callback: () => void): () => void {
  let done = false;
  const finish = (): void => {
    if (done) return;
    done = true;
    video.removeEventListener("timeupdate", finish);
    callback();
  };
  if ("requestVideoFrameCallback" in video) {
    const handle = video.requestVideoFrameCallback(finish);
    return () => {
      done = true;
      video.cancelVideoFrameCallback(handle);
    };
  }
  (video as HTMLVideoElement).addEventListener("timeupdate", finish);
  return () => {
    done = true;
    (video as HTMLVideoElement).removeEventListener("timeupdate", finish);
  };
}
