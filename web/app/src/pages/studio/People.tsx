import { type OdeonError, toOdeonError, type Visit } from "@odeon/sdk";
import type { StageMember, StageView } from "@odeon/sdk/stage";
import { Ellipsis, MicOff, UserMinus, UserX, VideoOff } from "lucide-react";
import { useState } from "react";
import { useTranslation } from "react-i18next";
import { Button, IconButton } from "../../ui/Button";
import { ActionMenu } from "../../ui/Menu";
import { Notice } from "../../ui/Notice";
import css from "./Panel.module.css";

/** Who waits and who is on stage, and what a host may do about it. */
export function People({ view, visit }: { view: StageView; visit: Visit }) {
  const { t } = useTranslation();
  const [error, setError] = useState<OdeonError>();
  const waiting = view.members.filter((m) => !m.admitted);
  const admitted = view.members.filter((m) => m.admitted);
  const act = (call: Promise<unknown>): void => {
    setError(undefined);
    call.catch((thrown: unknown) => setError(toOdeonError(thrown)));
  };
  return (
    <>
      <section className={css.section} aria-live="polite">
        <h2 className={css.title}>{t("studio.people.waiting")}</h2>
        {waiting.length === 0 ? <p className={css.empty}>{t("studio.people.nobody")}</p> : null}
        <ul className={css.people} data-testid="waiting-list">
          {waiting.map((member) => (
            <Waiting key={member.identity} member={member} visit={visit} onAct={act} />
          ))}
        </ul>
      </section>
      <section className={css.section}>
        <h2 className={css.title}>
          {t("studio.people.onStage")} <span className={css.soft}>{admitted.length}</span>
        </h2>
        <ul className={css.people} data-testid="people">
          {admitted.map((member) => (
            <OnStage
              key={member.identity}
              member={member}
              own={member.identity === view.identity}
              visit={visit}
              onAct={act}
            />
          ))}
        </ul>
      </section>
      {error ? <Notice error={error} /> : null}
    </>
  );
}

interface PersonProps {
  member: StageMember;
  visit: Visit;
  onAct: (call: Promise<unknown>) => void;
}

function nameOf(visit: Visit, member: StageMember): string {
  return `${visit.event.name}/participants/${member.identity}`;
}

function Waiting({ member, visit, onAct }: PersonProps) {
  const { t } = useTranslation();
  const name = nameOf(visit, member);
  return (
    <li className={css.person}>
      <span className={css.personName}>{member.displayName}</span>
      <IconButton
        label={t("studio.people.refuse", { name: member.displayName })}
        icon={<UserX aria-hidden />}
        onClick={() => onAct(visit.api.room.removeParticipant({ name }))}
      />
      <Button
        look="primary"
        aria-label={t("studio.people.admitName", { name: member.displayName })}
        onClick={() => onAct(visit.api.room.admitParticipant({ name }))}
        data-testid="admit"
      >
        {t("studio.people.admit")}
      </Button>
    </li>
  );
}

function OnStage({ member, visit, onAct, own }: PersonProps & { own: boolean }) {
  const { t } = useTranslation();
  const name = nameOf(visit, member);
  const { room } = visit.api;
  return (
    <li className={css.person}>
      <span className={css.personName}>{member.displayName}</span>
      {own ? <span className={css.soft}>{t("stage.you")}</span> : null}
      {own ? null : (
        <ActionMenu
          trigger={
            <IconButton
              label={t("studio.people.more", { name: member.displayName })}
              icon={<Ellipsis aria-hidden />}
            />
          }
          actions={[
            {
              label: t("studio.people.mute"),
              icon: <MicOff aria-hidden />,
              onSelect: () => onAct(room.muteParticipant({ name, audioMuted: true })),
            },
            {
              label: t("studio.people.muteVideo"),
              icon: <VideoOff aria-hidden />,
              onSelect: () => onAct(room.muteParticipant({ name, videoMuted: true })),
            },
            {
              label: t("studio.people.remove"),
              icon: <UserMinus aria-hidden />,
              danger: true,
              onSelect: () => onAct(room.removeParticipant({ name })),
            },
          ]}
        />
      )}
    </li>
  );
}
