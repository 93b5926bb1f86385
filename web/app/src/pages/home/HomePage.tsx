import { useEffect } from "react";
import { useTranslation } from "react-i18next";
import { useConfig } from "../../lib/config";
import { LinkForm } from "../../ui/LinkForm";
import { Loading, TroublePage } from "../../ui/Trouble";
import { Demo } from "./Demo";
import { Events } from "./Events";
import css from "./HomePage.module.css";

/** / — what is on here, and the ways in. */
export function Component() {
  const { t } = useTranslation();
  const config = useConfig();
  useEffect(() => {
    document.title = "Odeon";
  }, []);
  if (config.isPending) return <Loading />;
  if (config.error) {
    return <TroublePage error={config.error} retry={() => void config.refetch()} />;
  }
  const { demo, api_key_required: keyRequired } = config.data;
  return (
    <div className={css.home}>
      <div className={css.hero}>
        <h1>{t("home.title")}</h1>
        <p>{t("home.lead")}</p>
      </div>
      {demo ? <Demo demo={demo} /> : null}
      <section className={css.card} aria-labelledby="open-link">
        <h2 id="open-link">{t("home.link.title")}</h2>
        <p className={css.hint}>{t("home.link.text")}</p>
        <LinkForm />
      </section>
      <Events keyRequired={keyRequired} />
    </div>
  );
}
