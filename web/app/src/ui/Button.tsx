import type { ButtonHTMLAttributes, ReactNode } from "react";
import css from "./Button.module.css";

type Look = "primary" | "plain" | "ghost" | "danger" | "live";

export interface ButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  look?: Look;
  icon?: ReactNode;
  /** Shows that the click is being worked on, and takes no other meanwhile. */
  busy?: boolean;
  wide?: boolean;
}

export function buttonClass(look: Look = "plain", wide = false): string {
  return [css.button, css[look], wide ? css.wide : ""].join(" ");
}

export function Button({ look, icon, busy, wide, children, disabled, ...rest }: ButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={buttonClass(look, wide)}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
    >
      {busy ? <span className={css.spinner} aria-hidden /> : icon}
      {children}
    </button>
  );
}

export interface IconButtonProps extends ButtonHTMLAttributes<HTMLButtonElement> {
  label: string;
  icon: ReactNode;
  /** A switch that is on or off; leave out for plain actions. */
  pressed?: boolean;
  look?: "round" | "quiet" | "danger";
}

/** A button that shows only a picture; its label is read aloud and shown on hover. */
export function IconButton({ label, icon, pressed, look = "quiet", ...rest }: IconButtonProps) {
  return (
    <button
      type="button"
      {...rest}
      className={`${css.icon} ${css[`icon-${look}`]}`}
      aria-label={label}
      title={label}
      aria-pressed={pressed}
    >
      {icon}
    </button>
  );
}
