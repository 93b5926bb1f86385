import { useTranslation } from "react-i18next";
import { troubleOf } from "../lib/errors";
import css from "./Notice.module.css";

/** A refusal shown where it happened. */
export function Notice({ error }: { error: unknown }) {
  const { t } = useTranslation();
  const { trouble, reason } = troubleOf(error);
  return (
    <p className={css.notice} role="alert" data-reason={reason}>
      <strong>{t(`trouble.${trouble}.title`)}</strong> {t(`trouble.${trouble}.text`)}{" "}
      <span className={css.code}>{reason}</span>
    </p>
  );
}
