import { Code, ConnectError } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { errorFromResponse, OdeonError, toOdeonError } from "../src/errors";
import { errorInfo } from "./support/gateway";

describe("a refusal", () => {
  it("keeps its reason when it comes without a Connect body", async () => {
    const response = new Response("no such path", { status: 404 });
    const error = await errorFromResponse(response);
    expect([error.reason, error.code]).toEqual(["NOT_FOUND", Code.NotFound]);
  });

  it("of WHIP and WHEP says the same reason as of Connect", async () => {
    const value = errorInfo("EVENT_NOT_OPEN", "room.odeon.live", { state: "SCHEDULED" });
    const body = { code: "failed_precondition", message: "too early" };
    const response = Response.json(
      { ...body, details: [{ type: "google.rpc.ErrorInfo", value }] },
      { status: 400 },
    );
    const error = await errorFromResponse(response);
    expect(error.reason).toBe("EVENT_NOT_OPEN");
    expect(error.metadata).toEqual({ state: "SCHEDULED" });
    expect(error.message).toBe("too early");
  });

  it("without ErrorInfo is named after its code", () => {
    const error = toOdeonError(new ConnectError("no", Code.PermissionDenied));
    expect(error.reason).toBe("PERMISSION_DENIED");
  });
});

describe("a failure", () => {
  it("to reach the server is NETWORK and may be tried again", () => {
    const error = toOdeonError(
      new ConnectError("x", Code.Unknown, undefined, undefined, new TypeError("Failed to fetch")),
    );
    expect([error.reason, error.retryable]).toEqual(["NETWORK", true]);
    expect(toOdeonError(new TypeError("Failed to fetch")).reason).toBe("NETWORK");
  });

  it("that is an OdeonError already stays itself", () => {
    const error = new OdeonError({ reason: "ROOM_FULL" }, "full");
    expect(toOdeonError(error)).toBe(error);
    expect(error.retryable).toBe(false);
  });

  it("of an aborted call is CANCELLED", () => {
    const error = toOdeonError(new DOMException("gone", "AbortError"));
    expect(error.reason).toBe("CANCELLED");
  });
});
