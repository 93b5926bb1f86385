import type { TrackKind, TrackSource } from "../gen/odeon/signaling/v1/stage_pb";

export type StageState =
  /** On the way in, for the first time. */
  | "connecting"
  /** In, but a host must admit first. */
  | "waiting"
  /** On stage. */
  | "joined"
  /** The way to the server was lost; media may still flow. */
  | "reconnecting"
  /** Over; `closedReason` says why. */
  | "closed";

export interface StageMember {
  readonly identity: string;
  readonly displayName: string;
  readonly role: string;
  readonly admitted: boolean;
  /** Louder is higher, 0 to 127; 0 when silent. */
  readonly level: number;
}

export interface StageMedia {
  readonly trackId: string;
  readonly identity: string;
  readonly kind: TrackKind;
  readonly source: TrackSource;
  readonly codec: string;
  readonly muted: boolean;
  /** Layer received now; empty without simulcast. */
  readonly layer: string;
  /** The server sends nothing for now, for want of bandwidth. */
  readonly paused: boolean;
  /** What arrives; undefined until subscribed, and for one's own tracks. */
  readonly track: MediaStreamTrack | undefined;
}

/** Everything there is to show of a stage, replaced as a whole at every change. */
export interface StageView {
  readonly state: StageState;
  readonly identity: string;
  readonly sessionId: string;
  readonly role: string;
  readonly admitted: boolean;
  readonly node: string;
  readonly members: readonly StageMember[];
  readonly media: readonly StageMedia[];
  readonly closedReason: string | undefined;
}

export const EMPTY_VIEW: StageView = {
  state: "connecting",
  identity: "",
  sessionId: "",
  role: "",
  admitted: false,
  node: "",
  members: [],
  media: [],
  closedReason: undefined,
};
