import { Check } from "lucide-react";
import { DropdownMenu } from "radix-ui";
import type { ReactNode } from "react";
import css from "./Menu.module.css";

export interface MenuOption {
  value: string;
  label: string;
  detail?: string;
}

/** A button that opens a list with one choice. */
export function ChoiceMenu(props: {
  trigger: ReactNode;
  label: string;
  value: string;
  options: MenuOption[];
  onChange: (value: string) => void;
  /** Where the list is put; an element that is full screen must hold it itself. */
  container?: HTMLElement | null;
}) {
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger asChild>{props.trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal container={props.container ?? null}>
        <DropdownMenu.Content className={css.menu} align="end" sideOffset={8} collisionPadding={8}>
          <DropdownMenu.Label className={css.title}>{props.label}</DropdownMenu.Label>
          <DropdownMenu.RadioGroup value={props.value} onValueChange={props.onChange}>
            {props.options.map((option) => (
              <DropdownMenu.RadioItem key={option.value} value={option.value} className={css.item}>
                <span className={css.check}>
                  <DropdownMenu.ItemIndicator>
                    <Check aria-hidden />
                  </DropdownMenu.ItemIndicator>
                </span>
                <span>{option.label}</span>
                {option.detail ? <span className={css.detail}>{option.detail}</span> : null}
              </DropdownMenu.RadioItem>
            ))}
          </DropdownMenu.RadioGroup>
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}

export interface MenuAction {
  label: string;
  icon?: ReactNode;
  danger?: boolean;
  onSelect: () => void;
}

/** A button that opens a list of things to do. */
export function ActionMenu({ trigger, actions }: { trigger: ReactNode; actions: MenuAction[] }) {
  return (
    <DropdownMenu.Root modal={false}>
      <DropdownMenu.Trigger asChild>{trigger}</DropdownMenu.Trigger>
      <DropdownMenu.Portal>
        <DropdownMenu.Content className={css.menu} align="end" sideOffset={4} collisionPadding={8}>
          {actions.map((action) => (
            <DropdownMenu.Item
              key={action.label}
              className={`${css.item} ${action.danger ? css.danger : ""}`}
              onSelect={action.onSelect}
            >
              <span className={css.check}>{action.icon}</span>
              {action.label}
            </DropdownMenu.Item>
          ))}
        </DropdownMenu.Content>
      </DropdownMenu.Portal>
    </DropdownMenu.Root>
  );
}
