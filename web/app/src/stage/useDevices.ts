import { useCallback, useEffect, useRef, useState } from "react";

export type DeviceTrouble = "denied" | "missing" | "busy" | "insecure" | "other";

export interface Devices {
  cameras: MediaDeviceInfo[];
  microphones: MediaDeviceInfo[];
  camera: MediaStreamTrack | undefined;
  microphone: MediaStreamTrack | undefined;
  trouble: DeviceTrouble | undefined;
  /** Still asking the browser. */
  asking: boolean;
  chooseCamera: (deviceId: string) => void;
  chooseMicrophone: (deviceId: string) => void;
  /** Asks again, e.g. after the permission was given. */
  retry: () => void;
  /** Lets go of both until `retry`. */
  release: () => void;
}

interface Chosen {
  camera?: string;
  microphone?: string;
  /** Counts attempts. */
  attempt: number;
}

interface Opened {
  camera?: MediaStreamTrack | undefined;
  microphone?: MediaStreamTrack | undefined;
}

const KEY = "odeon.devices";

function remembered(): Chosen {
  try {
    return { ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Chosen), attempt: 0 };
  } catch {
    return { attempt: 0 };
  }
}

/** Size and rate asked of a camera; tests and slow machines ask for less by ?camera=640x360x15. */
export function cameraConstraints(search = window.location.search): MediaTrackConstraints {
  const asked = new URLSearchParams(search).get("camera")?.match(/^(\d+)x(\d+)(?:x(\d+))?$/);
  const [width = 1280, height = 720, rate = 30] = (asked?.slice(1) ?? []).map((n) =>
    n === undefined ? undefined : Number(n),
  );
  return { width: { ideal: width }, height: { ideal: height }, frameRate: { ideal: rate } };
}

/** Camera and microphone: which there are, which are chosen, and their tracks. */
export function useDevices(): Devices {
  const [chosen, setChosen] = useState<Chosen>(remembered);
  const [opened, setOpened] = useState<Opened>({});
  const [trouble, setTrouble] = useState<DeviceTrouble>();
  const [asking, setAsking] = useState(true);
  const devices = useDeviceList(opened);
  const tracks = useRef<Opened>({});

  useEffect(() => {
    let over = false;
    setAsking(true);
    void open(chosen, tracks.current)
      .then((result) => {
        if (over) {
          stopOthers(result, tracks.current);
          return;
        }
        stopOthers(tracks.current, result);
        tracks.current = result;
        setOpened(result);
        setTrouble(undefined);
      })
      .catch((error: unknown) => {
        if (!over) setTrouble(troubleOfMedia(error));
      })
      .finally(() => {
        if (!over) setAsking(false);
      });
    return () => {
      over = true;
    };
  }, [chosen]);

  const release = useCallback(() => {
    stopOthers(tracks.current, {});
    tracks.current = {};
    setOpened({});
  }, []);
  useEffect(() => release, [release]);

  const choose = useCallback((change: Partial<Chosen>) => {
    setChosen((now) => {
      const next = { ...now, ...change, attempt: now.attempt + 1 };
      localStorage.setItem(KEY, JSON.stringify(next));
      return next;
    });
  }, []);

  return {
    ...devices,
    camera: opened.camera,
    microphone: opened.microphone,
    trouble,
    asking,
    chooseCamera: (camera) => choose({ camera }),
    chooseMicrophone: (microphone) => choose({ microphone }),
    retry: () => choose({}),
    release,
  };
}

/** Opens what is chosen; tracks that stay chosen stay open. */
async function open(chosen: Chosen, now: Opened): Promise<Opened> {
  if (!navigator.mediaDevices) throw new DOMException("no media devices", "SecurityError");
  const keepCamera = isOpen(now.camera, chosen.camera);
  const keepMicrophone = isOpen(now.microphone, chosen.microphone);
  if (keepCamera && keepMicrophone) return now;
  const stream = await request({
    ...(keepCamera ? {} : { video: { ...cameraConstraints(), ...pick(chosen.camera) } }),
    ...(keepMicrophone ? {} : { audio: { ...pick(chosen.microphone) } }),
  });
  return {
    camera: keepCamera ? now.camera : stream.getVideoTracks()[0],
    microphone: keepMicrophone ? now.microphone : stream.getAudioTracks()[0],
  };
}

/**
 * What was chosen, or what there is when that has gone. A machine may lack a camera or a
 * microphone: then the other alone.
 */
async function request(constraints: MediaStreamConstraints): Promise<MediaStream> {
  try {
    return await navigator.mediaDevices.getUserMedia(constraints);
  } catch (error) {
    // Not in every browser a DOMException.
    if ((error as Error).name === "OverconstrainedError" && hasChoice(constraints)) {
      return request(withoutChoice(constraints));
    }
    const missing = error instanceof DOMException && error.name === "NotFoundError";
    if (!missing || !constraints.video || !constraints.audio) throw error;
    const { video, audio } = constraints;
    return navigator.mediaDevices
      .getUserMedia({ video })
      .catch(() => navigator.mediaDevices.getUserMedia({ audio }));
  }
}

/** Exact: an ideal device loses against another one that has the ideal size. */
function pick(deviceId: string | undefined): MediaTrackConstraints {
  return deviceId ? { deviceId: { exact: deviceId } } : {};
}

function hasChoice({ video, audio }: MediaStreamConstraints): boolean {
  return [video, audio].some((wanted) => typeof wanted === "object" && wanted.deviceId);
}

function withoutChoice(constraints: MediaStreamConstraints): MediaStreamConstraints {
  const without = (wanted: MediaStreamConstraints["video"]) =>
    typeof wanted === "object" ? { ...wanted, deviceId: undefined } : wanted;
  return {
    ...(constraints.video ? { video: without(constraints.video) ?? true } : {}),
    ...(constraints.audio ? { audio: without(constraints.audio) ?? true } : {}),
  };
}

function isOpen(track: MediaStreamTrack | undefined, deviceId: string | undefined): boolean {
  if (track?.readyState !== "live") return false;
  return !deviceId || track.getSettings().deviceId === deviceId;
}

function stopOthers(old: Opened, kept: Opened): void {
  if (old.camera !== kept.camera) old.camera?.stop();
  if (old.microphone !== kept.microphone) old.microphone?.stop();
}

function useDeviceList(opened: Opened): Pick<Devices, "cameras" | "microphones"> {
  const [list, setList] = useState<MediaDeviceInfo[]>([]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: names are told once a device was opened
  useEffect(() => {
    const media = navigator.mediaDevices;
    if (!media) return undefined;
    const update = (): void => void media.enumerateDevices().then(setList, () => undefined);
    update();
    media.addEventListener("devicechange", update);
    return () => media.removeEventListener("devicechange", update);
  }, [opened]);
  return {
    cameras: list.filter((d) => d.kind === "videoinput" && d.deviceId),
    microphones: list.filter((d) => d.kind === "audioinput" && d.deviceId),
  };
}

export function troubleOfMedia(error: unknown): DeviceTrouble {
  if (!(error instanceof DOMException)) return "other";
  if (error.name === "NotAllowedError") return "denied";
  if (error.name === "NotFoundError" || error.name === "OverconstrainedError") return "missing";
  if (error.name === "NotReadableError" || error.name === "AbortError") return "busy";
  return error.name === "SecurityError" ? "insecure" : "other";
}
