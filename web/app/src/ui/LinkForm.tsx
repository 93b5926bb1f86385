import { type SubmitEvent, useId, useState } from "react";
import { useTranslation } from "react-i18next";
import { useNavigate } from "react-router";
import { parseEventLink } from "../lib/invite";
import { Button } from "./Button";
import css from "./Form.module.css";

/** Takes a pasted link to an event and goes there. */
export function LinkForm() {
  const { t } = useTranslation();
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState(false);
  const id = useId();

  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const path = parseEventLink(text);
    setWrong(!path);
    if (path) void navigate(path);
  };

  return (
    <form className={css.inline} onSubmit={submit}>
      <label htmlFor={id} className="visually-hidden">
        {t("link.label")}
      </label>
      <input
        id={id}
        className={css.input}
        value={text}
        onChange={(e) => setText(e.target.value)}
        placeholder={t("link.placeholder")}
        autoComplete="off"
        spellCheck={false}
        inputMode="url"
        aria-invalid={wrong}
        aria-describedby={wrong ? `${id}-error` : undefined}
        required
      />
      <Button type="submit" look="primary">
        {t("link.open")}
      </Button>
      {wrong ? (
        <p id={`${id}-error`} className={css.error} role="alert">
          {t("link.wrong")}
        </p>
      ) : null}
    </form>
  );
}
