import { type Event, EventState, type Visit } from "@odeon/sdk";
import type { Stage } from "@odeon/sdk/stage";
import { useQueryClient } from "@tanstack/react-query";
import { Radio } from "lucide-react";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { useParams } from "react-router";
import { storedName, useName } from "../../lib/name";
import { useEvent, useVisit } from "../../lib/visit";
import { Lobby } from "../../stage/Lobby";
import { StageOver } from "../../stage/Over";
import { Room } from "../../stage/Room";
import { type Devices, useDevices } from "../../stage/useDevices";
import { type StageEntry, useStageEntry, useStageView } from "../../stage/useStage";
import { StateBadge } from "../../ui/Badge";
import { Button } from "../../ui/Button";
import { Field } from "../../ui/Field";
import { Notice } from "../../ui/Notice";
import { Loading, TroublePage, TroubleStatement } from "../../ui/Trouble";
import { Heading } from "./Heading";
import { Panel } from "./Panel";
import css from "./StudioPage.module.css";

/** /studio/:event — the host's page. */
export function Component() {
  const { event = "" } = useParams();
  const { invite, query } = useVisit("studio", event);
  if (invite === undefined) return <TroubleStatement trouble="linkMissing" />;
  if (query.data) return <Studio key={invite} visit={query.data} invite={invite} />;
  if (query.error) return <TroublePage error={query.error} retry={() => void query.refetch()} />;
  return <Loading />;
}

/** What a host does with the event as a whole. */
export interface Direction {
  busy: "open" | "start" | "end" | undefined;
  error: unknown;
  /** Lets media in while the audience still waits. */
  open: () => Promise<boolean>;
  start: () => Promise<boolean>;
  end: () => Promise<boolean>;
}

function useDirection(visit: Visit): Direction {
  const client = useQueryClient();
  const [busy, setBusy] = useState<Direction["busy"]>();
  const [error, setError] = useState<unknown>();
  const act = async (
    what: "open" | "start" | "end",
    call: () => Promise<{ event?: Event | undefined }>,
  ): Promise<boolean> => {
    setBusy(what);
    setError(undefined);
    try {
      const { event } = await call();
      if (event) client.setQueryData(["event", visit.event.name], event);
      return true;
    } catch (thrown) {
      setError(thrown);
      return false;
    } finally {
      setBusy(undefined);
    }
  };
  const { name } = visit.event;
  return {
    busy,
    error,
    open: () => act("open", () => visit.api.room.warmUpEvent({ name })),
    start: () => act("start", () => visit.api.room.startEvent({ name })),
    end: () => act("end", () => visit.api.room.endEvent({ name })),
  };
}

function Studio({ visit, invite }: { visit: Visit; invite: string }) {
  const { t } = useTranslation();
  const event = useEvent("studio", visit, invite);
  const devices = useDevices();
  const entry = useStageEntry("studio", visit, invite);
  const direction = useDirection(visit);
  useEffect(() => {
    document.title = `${event.title || t("common.untitled")} · ${t("studio.title")} · Odeon`;
  }, [event.title, t]);

  if (event.state === EventState.ENDED) {
    return (
      <StageOver
        devices={devices}
        reason="EVENT_ENDED"
        again={() => undefined}
        {...watchUrl(visit)}
      />
    );
  }
  if (!visit.stageUrl) return <TroubleStatement trouble="notAllowed" />;
  if (entry.stage) {
    return (
      <OnStage
        stage={entry.stage}
        visit={visit}
        event={event}
        devices={devices}
        direction={direction}
        again={() => void entry.enter(storedName() || t("stage.host"))}
      />
    );
  }
  return <StudioLobby event={event} devices={devices} entry={entry} direction={direction} />;
}

function watchUrl(visit: Visit): { watchUrl?: string } {
  return visit.links?.watchUrl ? { watchUrl: visit.links.watchUrl } : {};
}

function StudioLobby(props: {
  event: Event;
  devices: Devices;
  entry: StageEntry;
  direction: Direction;
}) {
  const { event, devices, entry, direction } = props;
  const { t } = useTranslation();
  const { name, setName, keep } = useName();
  const live = event.state === EventState.LIVE;
  /** No media comes in before the warm-up. */
  const goOnStage = async (): Promise<boolean> => {
    const closed = event.state === EventState.SCHEDULED;
    return (!closed || (await direction.open())) && (await entry.enter(keep() || t("stage.host")));
  };
  const goLive = async (): Promise<void> => {
    if ((await goOnStage()) && !live) await direction.start();
  };

  const error = entry.error ?? direction.error;
  return (
    <Lobby
      title={event.title || t("common.untitled")}
      lead={t(live ? "studio.leadLive" : "studio.lead")}
      devices={devices}
      aside={<StateBadge state={event.state} />}
    >
      <Field
        label={t("stage.name")}
        value={name}
        onChange={(e) => setName(e.target.value)}
        placeholder={t("stage.host")}
        maxLength={60}
        autoComplete="name"
        data-testid="display-name"
      />
      {error ? <Notice error={error} /> : null}
      <div className={css.actions}>
        <Button
          look="live"
          wide
          icon={<Radio aria-hidden />}
          busy={entry.entering || direction.busy !== undefined}
          onClick={() => void goLive()}
          data-testid="go-live"
        >
          {t(live ? "studio.enterLive" : "studio.goLive")}
        </Button>
        {live ? null : (
          <Button
            wide
            disabled={entry.entering || direction.busy !== undefined}
            onClick={() => void goOnStage()}
            data-testid="enter-studio"
          >
            {t("studio.enter")}
          </Button>
        )}
      </div>
    </Lobby>
  );
}

function OnStage(props: {
  stage: Stage;
  visit: Visit;
  event: Event;
  devices: Devices;
  direction: Direction;
  again: () => void;
}) {
  const { stage, visit, event, devices, direction, again } = props;
  const view = useStageView(stage);
  if (view.state === "closed") {
    return (
      <StageOver
        devices={devices}
        reason={view.closedReason ?? ""}
        again={again}
        {...watchUrl(visit)}
      />
    );
  }
  return (
    <Room
      stage={stage}
      view={view}
      devices={devices}
      heading={<Heading event={event} direction={direction} />}
      panel={<Panel stage={stage} view={view} visit={visit} event={event} />}
    />
  );
}
