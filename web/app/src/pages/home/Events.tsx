import { type Event, EventState, type OdeonClient, TokenKind, toOdeonError } from "@odeon/sdk";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { LogOut, Play, Plus, UserPlus, Video } from "lucide-react";
import { type SubmitEvent, useState } from "react";
import { useTranslation } from "react-i18next";
import { StateBadge } from "../../ui/Badge";
import { Button, IconButton } from "../../ui/Button";
import { Field } from "../../ui/Field";
import { Notice } from "../../ui/Notice";
import css from "./HomePage.module.css";
import { type Session, useSession } from "./useSession";

const REFRESH_MS = 5000;
const PAGE_SIZE = 50;

/** The events of a tenant, for those who hold its key. */
export function Events({ keyRequired }: { keyRequired: boolean }) {
  const { t } = useTranslation();
  const session = useSession(keyRequired);
  return (
    <section className={css.card} aria-labelledby="events">
      <div className={css.cardHead}>
        <h2 id="events">{t("home.events.title")}</h2>
        {session.signedIn ? (
          <IconButton
            label={t("home.events.signOut")}
            icon={<LogOut aria-hidden />}
            onClick={session.signOut}
          />
        ) : null}
      </div>
      {session.client ? (
        <EventList client={session.client} session={session} />
      ) : (
        <SignIn session={session} />
      )}
    </section>
  );
}

function SignIn({ session }: { session: Session }) {
  const { t } = useTranslation();
  const [secret, setSecret] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    session
      .signIn(secret.trim())
      .catch(setError)
      .finally(() => setBusy(false));
  };
  return (
    <>
      <p className={css.hint}>{t("home.events.signInText")}</p>
      <form className={css.row} onSubmit={submit}>
        <Field
          label={t("home.events.key")}
          type="password"
          value={secret}
          onChange={(e) => setSecret(e.target.value)}
          placeholder="odk_…"
          autoComplete="off"
          required
          data-testid="api-key"
        />
        <Button type="submit" look="primary" busy={busy} data-testid="sign-in">
          {t("home.events.signIn")}
        </Button>
      </form>
      {error ? <Notice error={error} /> : null}
    </>
  );
}

function EventList({ client, session }: { client: OdeonClient; session: Session }) {
  const { t } = useTranslation();
  const [page, setPage] = useState<Event[]>();
  const query = useQuery({
    queryKey: ["events", session.signedIn],
    queryFn: async () => {
      const { events } = await client.room.listEvents({ pageSize: PAGE_SIZE });
      setPage(events);
      return events.length;
    },
    refetchInterval: REFRESH_MS,
    retry: (count, error) => toOdeonError(error).retryable && count < 3,
  });
  const refused = query.error && !toOdeonError(query.error).retryable;
  if (refused && !session.signedIn) return <SignIn session={session} />;
  const events = inOrder(page ?? []);
  return (
    <>
      {query.error ? <Notice error={query.error} /> : null}
      <CreateEvent client={client} />
      {page && events.length === 0 ? <p className={css.hint}>{t("home.events.none")}</p> : null}
      <ul className={css.events} data-testid="events">
        {events.map((event) => (
          <EventRow key={event.name} event={event} client={client} />
        ))}
      </ul>
    </>
  );
}

const ORDER = [EventState.LIVE, EventState.WARMUP, EventState.SCHEDULED, EventState.ENDED];

function inOrder(events: Event[]): Event[] {
  return [...events].sort(
    (a, b) =>
      ORDER.indexOf(a.state) - ORDER.indexOf(b.state) ||
      Number((b.createTime?.seconds ?? 0n) - (a.createTime?.seconds ?? 0n)),
  );
}

function CreateEvent({ client }: { client: OdeonClient }) {
  const { t } = useTranslation();
  const queries = useQueryClient();
  const [title, setTitle] = useState("");
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>();
  const create = async (): Promise<void> => {
    setBusy(true);
    setError(undefined);
    try {
      const event = { title: title.trim(), waitingRoom: true };
      await client.room.createEvent({ event, requestId: crypto.randomUUID() });
      setTitle("");
      await queries.invalidateQueries({ queryKey: ["events"] });
    } catch (thrown) {
      setError(thrown);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <form
        className={css.row}
        onSubmit={(event) => {
          event.preventDefault();
          void create();
        }}
      >
        <Field
          label={t("home.events.newTitle")}
          value={title}
          onChange={(e) => setTitle(e.target.value)}
          placeholder={t("home.events.newPlaceholder")}
          maxLength={120}
          required
          data-testid="new-title"
        />
        <Button type="submit" look="primary" busy={busy} icon={<Plus aria-hidden />}>
          {t("home.events.create")}
        </Button>
      </form>
      {error ? <Notice error={error} /> : null}
    </>
  );
}

type Page = "watch" | "guest" | "studio";
const ROLES: Record<Page, string> = { watch: "viewer", guest: "guest", studio: "host" };

function EventRow({ event, client }: { event: Event; client: OdeonClient }) {
  const { t } = useTranslation();
  const [error, setError] = useState<unknown>();
  const ended = event.state === EventState.ENDED;
  const go = async (page: Page): Promise<void> => {
    setError(undefined);
    try {
      window.location.assign(await linkTo(client, event, page));
    } catch (thrown) {
      setError(thrown);
    }
  };
  return (
    <li className={css.event}>
      <StateBadge state={event.state} />
      <span className={css.eventTitle}>{event.title || t("common.untitled")}</span>
      <span className={css.eventActions}>
        <Button look="plain" icon={<Play aria-hidden />} onClick={() => void go("watch")}>
          {t(ended ? "home.events.recording" : "home.events.watch")}
        </Button>
        {ended ? null : (
          <>
            <Button look="ghost" icon={<UserPlus aria-hidden />} onClick={() => void go("guest")}>
              {t("home.events.guest")}
            </Button>
            <Button look="ghost" icon={<Video aria-hidden />} onClick={() => void go("studio")}>
              {t("home.events.studio")}
            </Button>
          </>
        )}
      </span>
      {error ? <Notice error={error} /> : null}
    </li>
  );
}

/** A link of one's own: an invite for the role that the page is for. */
async function linkTo(client: OdeonClient, event: Event, page: Page): Promise<string> {
  const { token } = await client.auth.issueToken({
    kind: TokenKind.INVITE,
    event: event.name,
    role: ROLES[page],
  });
  return `/${page}/${event.name.replace(/^events\//, "")}#invite=${encodeURIComponent(token)}`;
}
