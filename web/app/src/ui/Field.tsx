import { Check, Copy } from "lucide-react";
import {
  type InputHTMLAttributes,
  type ReactNode,
  type SelectHTMLAttributes,
  useEffect,
  useId,
  useState,
} from "react";
import { useTranslation } from "react-i18next";
import { IconButton } from "./Button";
import css from "./Form.module.css";

export function Field({
  label,
  ...rest
}: InputHTMLAttributes<HTMLInputElement> & { label: string }) {
  const id = useId();
  return (
    <div className={css.field}>
      <label htmlFor={id} className={css.label}>
        {label}
      </label>
      <input id={id} className={css.input} {...rest} />
    </div>
  );
}

export function Choice(
  props: SelectHTMLAttributes<HTMLSelectElement> & { label: string; children: ReactNode },
) {
  const { label, children, ...rest } = props;
  const id = useId();
  return (
    <div className={css.field}>
      <label htmlFor={id} className={css.label}>
        {label}
      </label>
      <select id={id} className={css.input} {...rest}>
        {children}
      </select>
    </div>
  );
}

const COPIED_MS = 1600;

/** A value to take along; the button copies it. */
export function CopyField({
  label,
  value,
  secret,
}: {
  label: string;
  value: string;
  secret?: boolean;
}) {
  const { t } = useTranslation();
  const id = useId();
  const [copied, setCopied] = useState(false);

  useEffect(() => {
    if (!copied) return undefined;
    const timer = setTimeout(() => setCopied(false), COPIED_MS);
    return () => clearTimeout(timer);
  }, [copied]);

  const copy = async (): Promise<void> => {
    await copyText(value);
    setCopied(true);
  };

  return (
    <div className={css.field}>
      <label htmlFor={id} className={css.label}>
        {label}
      </label>
      <div className={css.copy}>
        <input
          id={id}
          className={css.input}
          type={secret ? "password" : "text"}
          value={value}
          readOnly
          autoComplete="off"
          onFocus={(e) => e.target.select()}
        />
        <IconButton
          label={copied ? t("common.copied") : t("common.copy", { what: label })}
          icon={copied ? <Check aria-hidden /> : <Copy aria-hidden />}
          onClick={() => void copy()}
        />
      </div>
      <span className="visually-hidden" role="status">
        {copied ? t("common.copied") : ""}
      </span>
    </div>
  );
}

/** Pages on plain HTTP have no clipboard; selecting and copying works there. */
async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}
