import { type Event, EventState, type Visit } from "@odeon/sdk";
import { CalendarClock } from "lucide-react";
import { lazy, Suspense, useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useParams } from "react-router";
import { useEvent, useVisit } from "../../lib/visit";
import { StateBadge } from "../../ui/Badge";
import { Loading, Statement, TroublePage, TroubleStatement } from "../../ui/Trouble";

// Fetched while the invite is being traded.
const playerModule = import("./Player");
const Player = lazy(() => playerModule);

/** /watch/:event — the audience. */
export function Component() {
  const { event = "" } = useParams();
  const { invite, query } = useVisit("watch", event);
  if (invite === undefined) return <TroubleStatement trouble="linkMissing" />;
  if (query.data) return <Watch key={invite} visit={query.data} invite={invite} />;
  if (query.error) return <TroublePage error={query.error} retry={() => void query.refetch()} />;
  return <Loading />;
}

function Watch({ visit, invite }: { visit: Visit; invite: string }) {
  const event = useEvent("watch", visit, invite);
  useEffect(() => {
    document.title = event.title ? `${event.title} · Odeon` : "Odeon";
  }, [event.title]);
  const begun = event.state === EventState.LIVE || event.state === EventState.ENDED;
  if (!begun) return <Waiting event={event} />;
  return (
    <Suspense fallback={<Loading />}>
      <Player visit={visit} event={event} invite={invite} />
    </Suspense>
  );
}

/** The page goes on by itself when the host begins. */
function Waiting({ event }: { event: Event }) {
  const { t, i18n } = useTranslation();
  const seconds = event.scheduleTime?.seconds;
  const when = seconds
    ? new Intl.DateTimeFormat(i18n.language, { dateStyle: "long", timeStyle: "short" }).format(
        new Date(Number(seconds) * 1000),
      )
    : undefined;
  return (
    <Statement
      icon={CalendarClock}
      title={event.title || t("watch.waiting.title")}
      text={when ? t("watch.waiting.at", { when }) : t("watch.waiting.text")}
      note={t("watch.waiting.note")}
      testId="waiting-for-host"
    >
      <StateBadge state={event.state} />
    </Statement>
  );
}
