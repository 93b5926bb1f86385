import "media-chrome/media-controller";
import "media-chrome/media-control-bar";
import "media-chrome/media-play-button";
import "media-chrome/media-mute-button";
import "media-chrome/media-volume-range";
import "media-chrome/media-time-range";
import "media-chrome/media-time-display";
import "media-chrome/media-preview-time-display";
import "media-chrome/media-pip-button";
import "media-chrome/media-fullscreen-button";
import "media-chrome/media-loading-indicator";
import "media-chrome/lang/zh-CN";
import type { DetailedHTMLProps, HTMLAttributes } from "react";

type Element = DetailedHTMLProps<HTMLAttributes<HTMLElement>, HTMLElement>;
type MediaElement = Element & { class?: string; [attribute: string]: unknown };

declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      "media-controller": MediaElement;
      "media-control-bar": MediaElement;
      "media-play-button": MediaElement;
      "media-mute-button": MediaElement;
      "media-volume-range": MediaElement;
      "media-time-range": MediaElement;
      "media-time-display": MediaElement;
      "media-preview-time-display": MediaElement;
      "media-pip-button": MediaElement;
      "media-fullscreen-button": MediaElement;
      "media-loading-indicator": MediaElement;
    }
  }
}
