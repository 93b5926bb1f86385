import { ToggleGroup } from "radix-ui";
import type { ReactNode } from "react";
import css from "./Segments.module.css";

export interface Segment<T extends string> {
  value: T;
  label: string;
  icon?: ReactNode;
  disabled?: boolean;
}

/** A few choices side by side, one of them taken. */
export function Segments<T extends string>(props: {
  label: string;
  value: T;
  segments: Segment<T>[];
  onChange: (value: T) => void;
  /** Icons above labels, in a grid. */
  tiles?: boolean;
}) {
  return (
    <ToggleGroup.Root
      type="single"
      className={props.tiles ? css.tiles : css.segments}
      aria-label={props.label}
      value={props.value}
      onValueChange={(value) => value && props.onChange(value as T)}
    >
      {props.segments.map((segment) => (
        <ToggleGroup.Item
          key={segment.value}
          value={segment.value}
          className={css.segment}
          data-testid={`choose-${segment.value}`}
          disabled={segment.disabled ?? false}
        >
          {segment.icon}
          {segment.label}
        </ToggleGroup.Item>
      ))}
    </ToggleGroup.Root>
  );
}
