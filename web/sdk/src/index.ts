export { Backoff } from "./backoff";
export { OdeonClient, type OdeonClientOptions } from "./client";
export { Emitter } from "./emitter";
export { errorFromResponse, LocalReason, OdeonError, toOdeonError } from "./errors";
export type { EventStats } from "./gen/odeon/analytics/v1/analytics_pb";
export { TokenKind } from "./gen/odeon/auth/v1/auth_pb";
export {
  type Event,
  Event_State as EventState,
  type EventLinks,
  type Layout,
  Layout_Kind as LayoutKind,
  RoomService,
} from "./gen/odeon/room/v1/room_pb";
export { Beacons, type BeaconsOptions } from "./player/beacons";
export { Span, type Traceparent, Tracer, type TracerOptions } from "./trace";
export {
  type EnterOptions,
  enterEvent,
  eventId,
  eventName,
  type Visit,
  webSocketUrl,
} from "./visit";
