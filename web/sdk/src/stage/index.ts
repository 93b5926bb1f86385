export { TrackKind, TrackSource } from "../gen/odeon/signaling/v1/stage_pb";
export { encodings, LAYERS, PublishConnection, type PublishOptions } from "./publish";
export {
  type ChannelEvents,
  type ClientMessage,
  type OpenChannel,
  STAGE_SUBPROTOCOL,
  type StageChannel,
  StageSocket,
} from "./socket";
export { Stage, type StageEvents, type StageOptions, type StageTicket } from "./stage";
export type { StageStats } from "./stats";
export { SubscribeConnection } from "./subscribe";
export type { StageMedia, StageMember, StageState, StageView } from "./view";
