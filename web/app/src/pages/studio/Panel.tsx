import type { Event, Visit } from "@odeon/sdk";
import type { Stage, StageView } from "@odeon/sdk/stage";
import { Tabs } from "radix-ui";
import type { ReactNode } from "react";
import { useTranslation } from "react-i18next";
import { CopyField } from "../../ui/Field";
import { LayoutChoice } from "./LayoutChoice";
import css from "./Panel.module.css";
import { People } from "./People";
import { Stats } from "./Stats";

/** Beside the stage: guests and layout, links, numbers. */
export function Panel(props: { stage: Stage; view: StageView; visit: Visit; event: Event }) {
  const { stage, view, visit, event } = props;
  const { t } = useTranslation();
  const waiting = view.members.filter((m) => !m.admitted).length;
  return (
    <Tabs.Root defaultValue="direct" className={css.panel}>
      <Tabs.List className={css.tabs} aria-label={t("studio.panel.label")}>
        <Tab value="direct">
          {t("studio.panel.direct")}
          {waiting > 0 ? <span className={css.count}>{waiting}</span> : null}
        </Tab>
        <Tab value="links">{t("studio.panel.links")}</Tab>
        <Tab value="stats">{t("studio.panel.stats")}</Tab>
      </Tabs.List>
      <Tabs.Content value="direct" className={css.content}>
        <People view={view} visit={visit} />
        <LayoutChoice view={view} visit={visit} event={event} />
      </Tabs.Content>
      <Tabs.Content value="links" className={css.content}>
        <Links visit={visit} />
      </Tabs.Content>
      <Tabs.Content value="stats" className={css.content}>
        <Stats stage={stage} visit={visit} event={event} />
      </Tabs.Content>
    </Tabs.Root>
  );
}

function Tab({ value, children }: { value: string; children: ReactNode }) {
  return (
    <Tabs.Trigger value={value} className={css.tab} data-testid={`tab-${value}`}>
      {children}
    </Tabs.Trigger>
  );
}

function Links({ visit }: { visit: Visit }) {
  const { t } = useTranslation();
  const { links } = visit;
  if (!links) return <p className={css.empty}>{t("studio.links.none")}</p>;
  return (
    <>
      <CopyField label={t("studio.links.watch")} value={links.watchUrl} />
      <CopyField label={t("studio.links.guest")} value={links.guestUrl} />
      {links.whipUrl ? (
        <section className={css.section}>
          <h2 className={css.title}>{t("studio.links.encoder")}</h2>
          <p className={css.hint}>{t("studio.links.encoderHint")}</p>
          <CopyField label={t("studio.links.whipUrl")} value={links.whipUrl} />
          <CopyField label={t("studio.links.whipToken")} value={links.whipToken} secret />
        </section>
      ) : null}
    </>
  );
}
