import { MicOff, VideoOff } from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "../ui/Button";
import { Choice } from "../ui/Field";
import css from "./Lobby.module.css";
import type { Devices } from "./useDevices";
import { useLevel } from "./useLevel";

/** Before the stage: see oneself, choose devices, then go in. */
export function Lobby(props: {
  title: string;
  lead: string;
  devices: Devices;
  /** State badge and the like. */
  aside?: ReactNode;
  children: ReactNode;
}) {
  const { title, lead, devices, aside, children } = props;
  return (
    <div className={css.lobby}>
      <Preview devices={devices} />
      <div className={css.panel}>
        <div className={css.heading}>
          {aside}
          <h1>{title}</h1>
          <p className={css.lead}>{lead}</p>
        </div>
        <DeviceChoice devices={devices} />
        {children}
      </div>
    </div>
  );
}

function Preview({ devices }: { devices: Devices }) {
  const { t } = useTranslation();
  const video = useRef<HTMLVideoElement>(null);
  const { camera, microphone, trouble, asking } = devices;
  useEffect(() => {
    if (video.current) video.current.srcObject = camera ? new MediaStream([camera]) : null;
  }, [camera]);
  return (
    <div className={css.preview}>
      <video
        ref={video}
        muted
        autoPlay
        playsInline
        hidden={!camera}
        aria-label={t("devices.preview")}
        data-testid="preview"
      />
      {camera ? null : (
        <div className={css.noPicture} role="status">
          <VideoOff aria-hidden />
          <p>
            {t(
              trouble
                ? `devices.trouble.${trouble}`
                : asking
                  ? "devices.asking"
                  : "devices.noCamera",
            )}
          </p>
          {trouble ? <Button onClick={devices.retry}>{t("common.retry")}</Button> : null}
        </div>
      )}
      <Meter track={microphone} />
    </div>
  );
}

function Meter({ track }: { track: MediaStreamTrack | undefined }) {
  const { t } = useTranslation();
  const level = useLevel(track);
  if (!track) {
    return (
      <span className={css.noSound}>
        <MicOff aria-hidden /> {t("devices.noMicrophone")}
      </span>
    );
  }
  return (
    <meter className={css.meter} min={0} max={1} value={level} aria-label={t("devices.level")} />
  );
}

export function DeviceChoice({ devices }: { devices: Devices }) {
  const { t } = useTranslation();
  return (
    <div className={css.devices}>
      <Choice
        label={t("devices.camera")}
        value={devices.camera?.getSettings().deviceId ?? ""}
        onChange={(e) => devices.chooseCamera(e.target.value)}
        disabled={devices.cameras.length === 0}
      >
        {options(devices.cameras, t("devices.none"))}
      </Choice>
      <Choice
        label={t("devices.microphone")}
        value={devices.microphone?.getSettings().deviceId ?? ""}
        onChange={(e) => devices.chooseMicrophone(e.target.value)}
        disabled={devices.microphones.length === 0}
      >
        {options(devices.microphones, t("devices.none"))}
      </Choice>
    </div>
  );
}

function options(devices: MediaDeviceInfo[], none: string): ReactNode {
  if (devices.length === 0) return <option value="">{none}</option>;
  return devices.map((device, index) => (
    <option key={device.deviceId} value={device.deviceId}>
      {device.label || `${index + 1}`}
    </option>
  ));
}
