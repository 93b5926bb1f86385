import { OdeonError, toOdeonError } from "@odeon/sdk";

/** Kinds of trouble that have words of their own. */
export type Trouble =
  | "linkMissing"
  | "linkExpired"
  | "linkInvalid"
  | "linkRevoked"
  | "eventNotFound"
  | "notAllowed"
  | "offline"
  | "full"
  | "notOpen"
  | "over"
  | "banned"
  | "mutedByHost"
  | "keyInvalid"
  | "other";

const TROUBLES: Record<string, Trouble> = {
  TOKEN_EXPIRED: "linkExpired",
  TOKEN_INVALID: "linkInvalid",
  UNAUTHENTICATED: "linkInvalid",
  TOKEN_REVOKED: "linkRevoked",
  REVOKED: "linkRevoked",
  EVENT_NOT_FOUND: "eventNotFound",
  NOT_FOUND: "eventNotFound",
  PERMISSION_DENIED: "notAllowed",
  EVENT_MISMATCH: "notAllowed",
  NETWORK: "offline",
  UNAVAILABLE: "offline",
  DEADLINE_EXCEEDED: "offline",
  DATABASE_UNAVAILABLE: "offline",
  ROOM_FULL: "full",
  NO_NODE_AVAILABLE: "full",
  EVENT_NOT_OPEN: "notOpen",
  EVENT_ENDED: "over",
  PARTICIPANT_BANNED: "banned",
  PARTICIPANT_REMOVED: "banned",
  MUTED_BY_HOST: "mutedByHost",
  API_KEY_INVALID: "keyInvalid",
  SESSION_REVOKED: "linkRevoked",
  RESOURCE_EXHAUSTED: "full",
};

/** What to tell a person about a failure. */
export function troubleOf(thrown: unknown): { trouble: Trouble; reason: string } {
  const error = thrown instanceof OdeonError ? thrown : toOdeonError(thrown);
  const known = TROUBLES[error.reason];
  return { trouble: known ?? (error.retryable ? "offline" : "other"), reason: error.reason };
}
