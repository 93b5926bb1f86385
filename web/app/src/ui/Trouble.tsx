import {
  Ban,
  CalendarClock,
  CircleAlert,
  CircleCheck,
  Clock,
  Hourglass,
  KeyRound,
  Link2Off,
  type LucideIcon,
  MicOff,
  SearchX,
  WifiOff,
} from "lucide-react";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { Link, useRouteError } from "react-router";
import { type Trouble, troubleOf } from "../lib/errors";
import { Button, buttonClass } from "./Button";
import { LinkForm } from "./LinkForm";
import css from "./Trouble.module.css";

export interface StatementProps {
  icon: LucideIcon;
  title: string;
  text?: string;
  children?: ReactNode;
  /** Small print, e.g. a reason code to pass on. */
  note?: string;
  testId?: string;
}

/** A whole page that says one thing. */
export function Statement({ icon: Icon, title, text, children, note, testId }: StatementProps) {
  return (
    <section className={css.statement} data-testid={testId}>
      <span className={css.icon}>
        <Icon aria-hidden />
      </span>
      <h1>{title}</h1>
      {text ? <p className={css.text}>{text}</p> : null}
      {children ? <div className={css.actions}>{children}</div> : null}
      {note ? <p className={css.note}>{note}</p> : null}
    </section>
  );
}

/** Something is on its way; says so only when it takes a while. */
export function Loading({ text }: { text?: string }) {
  const { t } = useTranslation();
  return (
    <div className={css.loading} role="status">
      <span className={css.spinner} aria-hidden />
      <span>{text ?? t("common.loading")}</span>
    </div>
  );
}

const ICONS: Record<Trouble, LucideIcon> = {
  linkMissing: Link2Off,
  linkExpired: Clock,
  linkInvalid: Link2Off,
  linkRevoked: Ban,
  eventNotFound: SearchX,
  notAllowed: Ban,
  offline: WifiOff,
  full: Hourglass,
  notOpen: CalendarClock,
  over: CircleCheck,
  banned: Ban,
  mutedByHost: MicOff,
  keyInvalid: KeyRound,
  other: CircleAlert,
};

const FATAL_LINK: Trouble[] = ["linkMissing", "linkExpired", "linkInvalid", "linkRevoked"];

/** Why a page cannot go on, and what to do about it. */
export function TroublePage({ error, retry }: { error: unknown; retry?: () => void }) {
  const { trouble, reason } = troubleOf(error);
  return <TroubleStatement trouble={trouble} reason={reason} retry={retry} />;
}

export function TroubleStatement(props: {
  trouble: Trouble;
  reason?: string;
  retry?: (() => void) | undefined;
}) {
  const { trouble, reason, retry } = props;
  const { t } = useTranslation();
  const byLink = FATAL_LINK.includes(trouble);
  return (
    <Statement
      icon={ICONS[trouble]}
      title={t(`trouble.${trouble}.title`)}
      text={t(`trouble.${trouble}.text`)}
      testId={`trouble-${trouble}`}
      {...(reason && trouble !== "linkMissing" ? { note: t("trouble.code", { reason }) } : {})}
    >
      {byLink ? <LinkForm /> : null}
      {retry && !byLink ? (
        <Button look="primary" onClick={retry}>
          {t("common.retry")}
        </Button>
      ) : null}
      {byLink ? null : <HomeLink />}
    </Statement>
  );
}

function HomeLink() {
  const { t } = useTranslation();
  return (
    <Link to="/" className={buttonClass("plain")}>
      {t("common.toHome")}
    </Link>
  );
}

export function NotFound() {
  const { t } = useTranslation();
  return (
    <Statement icon={SearchX} title={t("trouble.noPage.title")} text={t("trouble.noPage.text")}>
      <HomeLink />
    </Statement>
  );
}

/** A page that crashed, or whose script could not be fetched after an update. */
export function RouteTrouble() {
  const { t } = useTranslation();
  const error = useRouteError();
  return (
    <Statement
      icon={CircleAlert}
      title={t("trouble.crash.title")}
      text={t("trouble.crash.text")}
      note={error instanceof Error ? error.message : String(error)}
    >
      <Button look="primary" onClick={() => window.location.reload()}>
        {t("common.reload")}
      </Button>
    </Statement>
  );
}
