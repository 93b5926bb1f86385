import { type Stage, TrackSource } from "@odeon/sdk/stage";
import {
  Mic,
  MicOff,
  PhoneOff,
  ScreenShare,
  ScreenShareOff,
  Settings2,
  Video,
  VideoOff,
} from "lucide-react";
import { Popover } from "radix-ui";
import { useTranslation } from "react-i18next";
import { IconButton } from "../ui/Button";
import { DeviceChoice } from "./Lobby";
import css from "./Toolbar.module.css";
import type { Devices } from "./useDevices";
import type { useScreenShare } from "./useScreenShare";

export interface Mutes {
  camera: boolean;
  microphone: boolean;
}

/** One's own camera, microphone, screen, and the way out. */
export function Toolbar(props: {
  stage: Stage;
  devices: Devices;
  mutes: Mutes;
  onMutes: (mutes: Mutes) => void;
  screen: ReturnType<typeof useScreenShare>;
  onLeave: () => void;
}) {
  const { stage, devices, mutes, onMutes, screen, onLeave } = props;
  const { t } = useTranslation();
  const toggle = (what: keyof Mutes, source: TrackSource): void => {
    const muted = !mutes[what];
    stage.mute(source, muted);
    onMutes({ ...mutes, [what]: muted });
  };
  return (
    <div className={css.toolbar} role="toolbar" aria-label={t("stage.toolbar")}>
      <IconButton
        look="round"
        label={t(mutes.microphone ? "stage.unmuteMicrophone" : "stage.muteMicrophone")}
        pressed={mutes.microphone}
        icon={mutes.microphone ? <MicOff aria-hidden /> : <Mic aria-hidden />}
        onClick={() => toggle("microphone", TrackSource.MICROPHONE)}
        data-testid="toggle-microphone"
      />
      <IconButton
        look="round"
        label={t(mutes.camera ? "stage.unmuteCamera" : "stage.muteCamera")}
        pressed={mutes.camera}
        icon={mutes.camera ? <VideoOff aria-hidden /> : <Video aria-hidden />}
        onClick={() => toggle("camera", TrackSource.CAMERA)}
        data-testid="toggle-camera"
      />
      {screen.possible ? (
        <IconButton
          look="round"
          label={t(screen.track ? "stage.stopScreen" : "stage.shareScreen")}
          icon={screen.track ? <ScreenShareOff aria-hidden /> : <ScreenShare aria-hidden />}
          onClick={() => (screen.track ? screen.stop() : void screen.start())}
          data-testid="share-screen"
        />
      ) : null}
      <Popover.Root>
        <Popover.Trigger asChild>
          <IconButton look="round" label={t("devices.choose")} icon={<Settings2 aria-hidden />} />
        </Popover.Trigger>
        <Popover.Portal>
          <Popover.Content className={css.popover} sideOffset={8} collisionPadding={12}>
            <DeviceChoice devices={devices} />
          </Popover.Content>
        </Popover.Portal>
      </Popover.Root>
      <IconButton
        look="danger"
        label={t("stage.leave")}
        icon={<PhoneOff aria-hidden />}
        onClick={onLeave}
        data-testid="leave"
      />
    </div>
  );
}
