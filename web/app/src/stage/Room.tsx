import type { OdeonError } from "@odeon/sdk";
import { type Stage, type StageView, TrackSource } from "@odeon/sdk/stage";
import { RefreshCw } from "lucide-react";
import { type ReactNode, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { Notice } from "../ui/Notice";
import css from "./Room.module.css";
import { Tiles } from "./Tiles";
import { type Mutes, Toolbar } from "./Toolbar";
import type { Devices } from "./useDevices";
import { useScreenShare } from "./useScreenShare";
import { usePublishing } from "./useStage";

/** On stage: pictures of everybody, one's own controls, and a panel beside them. */
export function Room(props: {
  stage: Stage;
  view: StageView;
  devices: Devices;
  heading: ReactNode;
  panel?: ReactNode;
}) {
  const { stage, view, devices, heading, panel } = props;
  const { t } = useTranslation();
  const [mutes, setMutes] = useState<Mutes>({ camera: false, microphone: false });
  const screen = useScreenShare(stage);
  usePublishing(stage, devices);
  const forced = forcedMutes(view, mutes);
  const refusal = useRefusal(stage);
  return (
    <div className={panel ? css.withPanel : css.alone}>
      <div className={css.stage}>
        {heading}
        {view.state === "reconnecting" ? (
          <p className={css.notice} role="status">
            <RefreshCw aria-hidden /> {t("stage.reconnecting")}
          </p>
        ) : null}
        {refusal ? <Notice error={refusal} /> : null}
        <div className={css.pictures}>
          <Tiles
            stage={stage}
            view={view}
            own={{
              camera: devices.camera,
              screen: screen.track,
              microphoneMuted: forced.microphone,
              cameraMuted: forced.camera,
            }}
          />
        </div>
        <Toolbar
          stage={stage}
          devices={devices}
          mutes={forced}
          onMutes={setMutes}
          screen={screen}
          onLeave={() => stage.leave()}
        />
      </div>
      {panel}
    </div>
  );
}

const REFUSAL_SHOWN_MS = 6000;

/** What the stage refused last, for a moment. */
function useRefusal(stage: Stage): OdeonError | undefined {
  const [error, setError] = useState<OdeonError>();
  useEffect(() => stage.on("error", setError), [stage]);
  useEffect(() => {
    if (!error) return undefined;
    const timer = setTimeout(() => setError(undefined), REFUSAL_SHOWN_MS);
    return () => clearTimeout(timer);
  }, [error]);
  return error;
}

/** A host can mute one too: the server's word counts, where it has spoken. */
function forcedMutes(view: StageView, mutes: Mutes): Mutes {
  const told = (source: TrackSource): boolean =>
    view.media.some((m) => m.identity === view.identity && m.source === source && m.muted);
  return {
    camera: mutes.camera || told(TrackSource.CAMERA),
    microphone: mutes.microphone || told(TrackSource.MICROPHONE),
  };
}
