import { type ReactNode, useEffect, useId, useRef } from "react";
import { useTranslation } from "react-i18next";
import { Button } from "./Button";
import css from "./Dialog.module.css";

export interface ConfirmProps {
  open: boolean;
  title: string;
  text: ReactNode;
  confirm: string;
  busy?: boolean;
  onConfirm: () => void;
  onCancel: () => void;
}

/** Asks before something that cannot be undone. The browser's own modal keeps the focus inside. */
export function Confirm({ open, title, text, confirm, busy, onConfirm, onCancel }: ConfirmProps) {
  const { t } = useTranslation();
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();

  useEffect(() => {
    const dialog = ref.current;
    if (open && !dialog?.open) dialog?.showModal();
    if (!open && dialog?.open) dialog.close();
  }, [open]);

  return (
    <dialog
      ref={ref}
      className={css.dialog}
      aria-labelledby={id}
      onCancel={onCancel}
      onClose={onCancel}
    >
      <h2 id={id}>{title}</h2>
      <p className={css.text}>{text}</p>
      <div className={css.actions}>
        <Button onClick={onCancel}>{t("common.cancel")}</Button>
        <Button look="live" {...(busy === undefined ? {} : { busy })} onClick={onConfirm}>
          {confirm}
        </Button>
      </div>
    </dialog>
  );
}
