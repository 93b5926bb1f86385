import { EventState, eventId, type Visit } from "@odeon/sdk";
import type { Stage } from "@odeon/sdk/stage";
import { Hourglass } from "lucide-react";
import { type SubmitEvent, useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useParams } from "react-router";
import { storedName, useName } from "../../lib/name";
import { useEvent, useVisit } from "../../lib/visit";
import { Lobby } from "../../stage/Lobby";
import { StageOver } from "../../stage/Over";
import { Room } from "../../stage/Room";
import { type Devices, useDevices } from "../../stage/useDevices";
import { useStageEntry, useStageView } from "../../stage/useStage";
import { StateBadge } from "../../ui/Badge";
import { Button } from "../../ui/Button";
import { Field } from "../../ui/Field";
import { Notice } from "../../ui/Notice";
import { Loading, TroublePage, TroubleStatement } from "../../ui/Trouble";
import css from "./GuestPage.module.css";

/** /guest/:event — takes part by link. */
export function Component() {
  const { event = "" } = useParams();
  const { invite, query } = useVisit("guest", event);
  if (invite === undefined) return <TroubleStatement trouble="linkMissing" />;
  if (query.data) return <Guest key={invite} visit={query.data} invite={invite} />;
  if (query.error) return <TroublePage error={query.error} retry={() => void query.refetch()} />;
  return <Loading />;
}

function Guest({ visit, invite }: { visit: Visit; invite: string }) {
  const { t } = useTranslation();
  const event = useEvent("guest", visit, invite);
  const devices = useDevices();
  const entry = useStageEntry("guest", visit, invite);
  const [wanted, setWanted] = useState<string>();
  const open = event.state === EventState.WARMUP || event.state === EventState.LIVE;
  const { enter } = entry;
  useEffect(() => {
    document.title = event.title ? `${event.title} · Odeon` : "Odeon";
  }, [event.title]);
  useEffect(() => {
    if (wanted === undefined || !open) return;
    setWanted(undefined);
    void enter(wanted);
  }, [wanted, open, enter]);

  const watchUrl = `/watch/${eventId(event.name)}#invite=${encodeURIComponent(invite)}`;
  if (entry.stage) {
    return (
      <OnStage
        stage={entry.stage}
        devices={devices}
        title={event.title}
        watchUrl={watchUrl}
        again={entry.enter}
      />
    );
  }
  if (event.state === EventState.ENDED) {
    const over = { reason: "EVENT_ENDED", devices, watchUrl };
    return <StageOver {...over} again={() => undefined} />;
  }
  if (!visit.stageUrl) return <TroubleStatement trouble="notAllowed" />;
  return (
    <Lobby
      title={event.title || t("common.untitled")}
      lead={t(event.waitingRoom ? "guest.leadWaiting" : "guest.lead")}
      devices={devices}
      aside={<StateBadge state={event.state} />}
    >
      <JoinForm
        busy={entry.entering || wanted !== undefined}
        error={entry.error}
        note={wanted !== undefined && !open ? t("guest.notOpen") : undefined}
        onJoin={setWanted}
      />
    </Lobby>
  );
}

function JoinForm(props: {
  busy: boolean;
  error: unknown;
  note: string | undefined;
  onJoin: (name: string) => void;
}) {
  const { t } = useTranslation();
  const { name, setName, keep } = useName();
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    props.onJoin(keep());
  };
  return (
    <form className={css.form} onSubmit={submit}>
      <Field
        label={t("stage.name")}
        value={name}
        onChange={(e) => setName(e.target.value)}
        placeholder={t("stage.namePlaceholder")}
        maxLength={60}
        autoComplete="name"
        required
        data-testid="display-name"
      />
      {props.error ? <Notice error={props.error} /> : null}
      {props.note ? (
        <p className={css.note} role="status">
          {props.note}
        </p>
      ) : null}
      <Button type="submit" look="primary" wide busy={props.busy} data-testid="join">
        {t("guest.join")}
      </Button>
    </form>
  );
}

function OnStage(props: {
  stage: Stage;
  devices: Devices;
  title: string;
  watchUrl: string;
  again: (name: string) => Promise<boolean>;
}) {
  const { stage, devices, title, watchUrl, again } = props;
  const { t } = useTranslation();
  const view = useStageView(stage);
  const rejoin = (): void => void again(storedName());
  if (view.state === "closed") {
    const over = { reason: view.closedReason ?? "", devices, watchUrl };
    return <StageOver {...over} again={rejoin} />;
  }
  if (!view.admitted) {
    return (
      <Lobby
        title={t("guest.waiting.title")}
        lead={t("guest.waiting.text", { title: title || t("common.untitled") })}
        devices={devices}
        aside={<Hourglass aria-hidden className={css.hourglass} />}
      >
        <div data-testid="waiting-room" className={css.form}>
          <Button wide onClick={() => stage.leave()}>
            {t("stage.leave")}
          </Button>
        </div>
      </Lobby>
    );
  }
  return (
    <Room
      stage={stage}
      view={view}
      devices={devices}
      heading={<h1 className={css.title}>{title || t("common.untitled")}</h1>}
    />
  );
}
