import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { Code, ConnectError } from "@connectrpc/connect";

/** What a refusal says about itself: the same reason over every face of the gateway. */
export interface ErrorInfo {
  /** UPPER_SNAKE, stable, e.g. "TOKEN_EXPIRED". */
  reason: string;
  /** "<service>.odeon.live". */
  domain: string;
  metadata: Record<string, string>;
}

/** Reasons that the SDK itself gives; all others come from a service. */
export const LocalReason = {
  /** The server could not be reached. */
  network: "NETWORK",
  /** The caller gave up. */
  cancelled: "CANCELLED",
  /** The server answered without a reason. */
  unknown: "UNKNOWN",
} as const;

/** A refusal or failure with a reason that a program can act on. */
export class OdeonError extends Error {
  override readonly name = "OdeonError";
  readonly reason: string;
  readonly domain: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly code: Code;

  constructor(info: Partial<ErrorInfo> & { reason: string }, message: string, code = Code.Unknown) {
    super(message);
    this.reason = info.reason;
    this.domain = info.domain ?? "";
    this.metadata = info.metadata ?? {};
    this.code = code;
  }

  /** Whether the same call may work a moment later. */
  get retryable(): boolean {
    return (
      this.reason === LocalReason.network ||
      this.code === Code.Unavailable ||
      this.code === Code.DeadlineExceeded ||
      this.code === Code.Aborted
    );
  }
}

/** Turns whatever a call threw into an OdeonError. */
export function toOdeonError(thrown: unknown): OdeonError {
  if (thrown instanceof OdeonError) return thrown;
  if (thrown instanceof ConnectError) return fromConnectError(thrown);
  if (thrown instanceof DOMException && thrown.name === "AbortError") {
    return new OdeonError({ reason: LocalReason.cancelled }, thrown.message, Code.Canceled);
  }
  if (thrown instanceof TypeError) {
    // fetch() rejects with a TypeError when no answer came at all.
    return new OdeonError({ reason: LocalReason.network }, thrown.message, Code.Unavailable);
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new OdeonError({ reason: LocalReason.unknown }, message);
}

function fromConnectError(error: ConnectError): OdeonError {
  const info = findErrorInfo(error);
  if (info) return new OdeonError(info, error.rawMessage, error.code);
  if (error.code === Code.Canceled) {
    return new OdeonError({ reason: LocalReason.cancelled }, error.rawMessage, error.code);
  }
  if (error.cause instanceof TypeError) {
    return new OdeonError({ reason: LocalReason.network }, error.rawMessage, Code.Unavailable);
  }
  const reason = error.code === Code.Unknown ? LocalReason.unknown : codeToReason(error.code);
  return new OdeonError({ reason }, error.rawMessage, error.code);
}

/** "PermissionDenied" becomes "PERMISSION_DENIED". */
function codeToReason(code: Code): string {
  return Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

function findErrorInfo(error: ConnectError): ErrorInfo | undefined {
  for (const detail of error.details) {
    if ("type" in detail && detail.type === "google.rpc.ErrorInfo") {
      return decodeErrorInfo(detail.value);
    }
  }
  return undefined;
}

/** Reads a google.rpc.ErrorInfo: reason = 1, domain = 2, map<string, string> metadata = 3. */
export function decodeErrorInfo(bytes: Uint8Array): ErrorInfo {
  const info: ErrorInfo = { reason: "", domain: "", metadata: {} };
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (wireType !== WireType.LengthDelimited) {
      reader.skip(wireType);
    } else if (field === 1) {
      info.reason = reader.string();
    } else if (field === 2) {
      info.domain = reader.string();
    } else if (field === 3) {
      const [key, value] = decodeEntry(reader.bytes());
      info.metadata[key] = value;
    } else {
      reader.skip(wireType);
    }
  }
  return info;
}

function decodeEntry(bytes: Uint8Array): [string, string] {
  const entry: [string, string] = ["", ""];
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 1) entry[0] = reader.string();
    else if (field === 2) entry[1] = reader.string();
    else reader.skip(wireType);
  }
  return entry;
}

/**
 * Reads the refusal of a plain HTTP face (WHIP, WHEP): the Connect error body when there is
 * one, otherwise the status alone.
 */
export async function errorFromResponse(response: Response): Promise<OdeonError> {
  const text = await response.text().catch(() => "");
  const code = codeFromStatus(response.status);
  try {
    const body = JSON.parse(text) as HttpErrorBody;
    const detail = body.details?.find((d) => d.type === "google.rpc.ErrorInfo");
    const info = detail?.value ? decodeErrorInfo(base64(detail.value)) : undefined;
    const reason = info?.reason || body.reason || codeToReason(code);
    const metadata = info?.metadata ?? body.metadata ?? {};
    return new OdeonError(
      { reason, domain: info?.domain ?? "", metadata },
      body.message ?? body.detail ?? response.statusText,
      code,
    );
  } catch {
    return new OdeonError({ reason: codeToReason(code) }, text || response.statusText, code);
  }
}

interface HttpErrorBody {
  reason?: string;
  message?: string;
  detail?: string;
  metadata?: Record<string, string>;
  details?: { type: string; value?: string }[];
}

function base64(text: string): Uint8Array {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

function codeFromStatus(status: number): Code {
  if (status === 401) return Code.Unauthenticated;
  if (status === 403) return Code.PermissionDenied;
  if (status === 404) return Code.NotFound;
  if (status === 409) return Code.Aborted;
  if (status === 429) return Code.ResourceExhausted;
  if (status === 400 || status === 422) return Code.InvalidArgument;
  if (status === 502 || status === 503 || status === 504) return Code.Unavailable;
  return Code.Unknown;
}
