import { type Event, LayoutKind, toOdeonError, type Visit } from "@odeon/sdk";
import type { StageView } from "@odeon/sdk/stage";
import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState } from "react";
import { useTranslation } from "react-i18next";
import { Choice } from "../../ui/Field";
import { Notice } from "../../ui/Notice";
import { Segments } from "../../ui/Segments";
import { LayoutIcon, type LayoutName } from "./LayoutIcon";
import css from "./Panel.module.css";

const KINDS: Record<LayoutName, LayoutKind> = {
  single: LayoutKind.SINGLE,
  grid: LayoutKind.GRID,
  speaker: LayoutKind.SPEAKER,
  pip: LayoutKind.PICTURE_IN_PICTURE,
  screen: LayoutKind.SCREEN_SPEAKER,
};
const NAMES = Object.keys(KINDS) as LayoutName[];

interface Wanted {
  kind: LayoutKind;
  focus: string;
  nameLabels: boolean;
}

/**
 * The layout and a way to change it. A change shows at once and builds on those before it, even
 * while these are still on their way.
 */
function useLayout(visit: Visit, event: Event) {
  const client = useQueryClient();
  const [error, setError] = useState<unknown>();
  const [wanted, setWanted] = useState<Wanted>();
  const newest = useRef<Wanted | undefined>(undefined);
  const sent = useRef(Promise.resolve());
  const { kind = LayoutKind.GRID, focus = "", nameLabels = false } = event.layout ?? {};
  const known = { kind, focus, nameLabels };

  const send = async (layout: Wanted): Promise<void> => {
    try {
      const answer = await visit.api.room.setLayout({ name: event.name, layout });
      if (answer.event) client.setQueryData(["event", event.name], answer.event);
    } catch (thrown) {
      setError(toOdeonError(thrown));
    }
    if (newest.current !== layout) return;
    newest.current = undefined;
    setWanted(undefined);
  };
  const change = (what: Partial<Wanted>): void => {
    const layout = { ...(newest.current ?? known), ...what };
    newest.current = layout;
    setWanted(layout);
    setError(undefined);
    sent.current = sent.current.then(() => send(layout));
  };
  return { ...(wanted ?? known), error, change };
}

/** How the programme is put together; takes effect at once, live or not. */
export function LayoutChoice(props: { view: StageView; visit: Visit; event: Event }) {
  const { view, visit, event } = props;
  const { t } = useTranslation();
  const { kind, focus, nameLabels, error, change } = useLayout(visit, event);
  const current = NAMES.find((name) => KINDS[name] === kind) ?? "grid";

  return (
    <section className={css.section}>
      <h2 className={css.title}>{t("studio.layout.title")}</h2>
      <Segments
        tiles
        label={t("studio.layout.title")}
        value={current}
        onChange={(name) => change({ kind: KINDS[name] })}
        segments={NAMES.map((name) => ({
          value: name,
          label: t(`studio.layout.${name}`),
          icon: <LayoutIcon name={name} />,
        }))}
      />
      <Choice
        label={t("studio.layout.focus")}
        value={focus}
        onChange={(e) => change({ focus: e.target.value })}
      >
        <option value="">{t("studio.layout.focusSpeaker")}</option>
        {view.members
          .filter((m) => m.admitted)
          .map((m) => (
            <option key={m.identity} value={m.identity}>
              {m.displayName}
            </option>
          ))}
      </Choice>
      <label className={css.check}>
        <input
          type="checkbox"
          checked={nameLabels}
          onChange={(e) => change({ nameLabels: e.target.checked })}
        />
        {t("studio.layout.names")}
      </label>
      {error ? <Notice error={error} /> : null}
    </section>
  );
}
