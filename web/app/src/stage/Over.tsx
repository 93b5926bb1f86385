import { CircleCheck, DoorOpen, type LucideIcon, PlugZap, UserX } from "lucide-react";
import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { Button, buttonClass } from "../ui/Button";
import { Statement } from "../ui/Trouble";
import type { Devices } from "./useDevices";

type Ending = "left" | "kicked" | "ended" | "revoked" | "replaced" | "lost";

const ENDINGS: Record<string, Ending> = {
  LEFT: "left",
  KICKED: "kicked",
  EVENT_ENDED: "ended",
  REVOKED: "revoked",
  REPLACED: "replaced",
};

const ICONS: Record<Ending, LucideIcon> = {
  left: DoorOpen,
  kicked: UserX,
  ended: CircleCheck,
  revoked: UserX,
  replaced: DoorOpen,
  lost: PlugZap,
};

/** The stage is over for this page: why, and where to go from here. */
export function StageOver(props: {
  reason: string;
  watchUrl?: string;
  devices: Devices;
  again: () => void;
}) {
  const { t } = useTranslation();
  const { release, retry } = props.devices;
  // The camera's light goes out with the stage.
  useEffect(release, [release]);
  const ending = ENDINGS[props.reason] ?? "lost";
  const mayReturn = ending === "left" || ending === "lost" || ending === "replaced";
  const mayWatch = ending !== "kicked" && ending !== "revoked";
  return (
    <Statement
      icon={ICONS[ending]}
      title={t(`stage.over.${ending}.title`)}
      text={t(`stage.over.${ending}.text`)}
      testId={`over-${ending}`}
      {...(ending === "lost" ? { note: t("trouble.code", { reason: props.reason }) } : {})}
    >
      {mayReturn ? (
        <Button
          look="primary"
          onClick={() => {
            retry();
            props.again();
          }}
        >
          {t("stage.over.again")}
        </Button>
      ) : null}
      {props.watchUrl && mayWatch ? (
        <a className={buttonClass(ending === "ended" ? "primary" : "plain")} href={props.watchUrl}>
          {t(ending === "ended" ? "stage.over.recording" : "stage.over.watch")}
        </a>
      ) : null}
    </Statement>
  );
}
