import { timestampDate } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { OdeonClient } from "./client";
import { toOdeonError } from "./errors";
import type { EnterEventResponse, Event, EventLinks } from "./gen/odeon/room/v1/room_pb";
import type { Traceparent } from "./trace";

/** What an invite was traded for: who one is at the event, and the tokens and addresses. */
export interface Visit {
  event: Event;
  /** "host", "guest", "viewer", … */
  role: string;
  identity: string;
  sessionId: string;
  /** WebSocket of the stage; undefined for those who may only watch. */
  stageUrl: string | undefined;
  joinToken: string;
  /** HLS playlist with a playback token in its path; empty before there is one. */
  playlistUrl: string;
  whepUrl: string;
  playbackToken: string;
  expireTime: Date;
  /** The other links, for hosts. */
  links: EventLinks | undefined;
  /** Enters again as the same person (EnterOptions.pass); an invite may make somebody new. */
  accessToken: string;
  /** Calls in the name of this visit. */
  api: OdeonClient;
}

export interface EnterOptions {
  baseUrl: string;
  /** Event id, without "events/". */
  event: string;
  invite: string;
  /** Access token of an earlier visit: whoever has one comes back as the same person. */
  pass?: string | undefined;
  displayName?: string;
  traceparent?: Traceparent | undefined;
  fetch?: typeof globalThis.fetch;
  signal?: AbortSignal;
}

/** Refusals of a pass after which the invite is tried. */
const PASS_REFUSED = new Set([Code.Unauthenticated, Code.PermissionDenied, Code.NotFound]);

/**
 * Enters an event with the pass of an earlier visit, or with an invite. Fails with an
 * OdeonError when the link no longer works.
 */
export async function enterEvent(options: EnterOptions): Promise<Visit> {
  if (options.pass) {
    try {
      return await enterWith(options.pass, options);
    } catch (thrown) {
      if (!PASS_REFUSED.has(toOdeonError(thrown).code)) throw thrown;
    }
  }
  return enterWith(options.invite, options);
}

async function enterWith(credential: string, options: EnterOptions): Promise<Visit> {
  const door = new OdeonClient({
    baseUrl: options.baseUrl,
    token: credential,
    traceparent: options.traceparent,
    ...(options.fetch ? { fetch: options.fetch } : {}),
  });
  const entered = await door.room.enterEvent(
    { name: eventName(options.event), displayName: options.displayName ?? "" },
    options.signal ? { signal: options.signal } : {},
  );
  const accessToken = entered.accessToken || credential;
  const api = door.with({ token: accessToken, traceparent: undefined });
  return toVisit(entered, options.baseUrl, accessToken, api);
}

function toVisit(
  entered: EnterEventResponse,
  baseUrl: string,
  accessToken: string,
  api: OdeonClient,
): Visit {
  if (!entered.event) throw new TypeError("EnterEvent answered without an event");
  return {
    event: entered.event,
    role: entered.role,
    identity: entered.identity,
    sessionId: entered.sessionId,
    stageUrl: entered.stageUrl ? webSocketUrl(entered.stageUrl, baseUrl) : undefined,
    joinToken: entered.joinToken,
    playlistUrl: entered.playlistUrl,
    whepUrl: entered.whepUrl && new URL(entered.whepUrl, baseUrl).href,
    playbackToken: entered.playbackToken,
    expireTime: entered.expireTime ? timestampDate(entered.expireTime) : new Date(8.64e15),
    links: entered.links,
    accessToken,
    api,
  };
}

/** "events/<id>". */
export function eventName(id: string): string {
  return `events/${id}`;
}

/** The id in "events/<id>". */
export function eventId(name: string): string {
  return name.replace(/^events\//, "");
}

/** A path or an address of the gateway as ws: or wss:. */
export function webSocketUrl(path: string, baseUrl: string): string {
  const url = new URL(path, baseUrl);
  if (url.protocol === "http:") url.protocol = "ws:";
  if (url.protocol === "https:") url.protocol = "wss:";
  return url.href;
}
