import { ErrorDetails, ErrorTypes, type LoaderResponse } from "hls.js";
import { describe, expect, it } from "vitest";
import { classify } from "../src/player/hls";
import { hlsSettings, retryRule } from "../src/player/hls-settings";

const settings = hlsSettings("/worker.js");
const retry = settings.playlistLoadPolicy?.default.errorRetry ?? null;
const shouldRetry = retryRule(() => false);
const status = (code: number): LoaderResponse => ({ url: "", code });

describe("the player's settings", () => {
  it("catch up with live and stay further back after a stall", () => {
    expect(settings).toMatchObject({
      lowLatencyMode: true,
      maxLiveSyncPlaybackRate: 1.1,
      liveSyncOnStallIncrease: 0.33,
      workerPath: "/worker.js",
    });
  });

  it.each([
    "manifestLoadPolicy",
    "playlistLoadPolicy",
    "fragLoadPolicy",
    "steeringManifestLoadPolicy",
  ] as const)("ask again 20 times, 250 ms apart: %s", (policy) => {
    expect(settings[policy]?.default.errorRetry).toMatchObject({
      maxNumRetry: 20,
      retryDelayMs: 250,
      maxRetryDelayMs: 250,
      backoff: "linear",
    });
  });
});

describe("a failed request", () => {
  it.each([0, 429, 500, 502, 503])("with status %i is asked again", (code) => {
    expect(shouldRetry(retry, 0, false, status(code))).toBe(true);
  });

  it.each([401, 403, 404, 410])("with status %i is not", (code) => {
    expect(shouldRetry(retry, 0, false, status(code))).toBe(false);
  });

  it("is given up after 20 times", () => {
    expect(shouldRetry(retry, 19, false, status(503))).toBe(true);
    expect(shouldRetry(retry, 20, false, status(503))).toBe(false);
  });

  it("to a host that refuses twice is not asked again where there is another one", () => {
    const elsewhere = retryRule(() => true);
    expect(elsewhere(retry, 0, false, status(0))).toBe(true);
    expect(elsewhere(retry, 1, false, status(0))).toBe(false);
    expect(elsewhere(retry, 1, false, status(503))).toBe(true);
  });

  it("that timed out is asked again", () => {
    expect(shouldRetry(retry, 0, true, undefined)).toBe(true);
  });
});

describe("a fatal error", () => {
  const network = { type: ErrorTypes.NETWORK_ERROR, details: ErrorDetails.MANIFEST_LOAD_ERROR };
  it("means what its status says", () => {
    expect(classify({ ...network, response: status(404) })).toBe("NOT_FOUND");
    expect(classify({ ...network, response: status(403) })).toBe("FORBIDDEN");
    expect(classify({ ...network, response: status(503) })).toBe("NETWORK");
  });

  it("of the media cannot be mended by asking again", () => {
    const type = ErrorTypes.MEDIA_ERROR;
    expect(classify({ type, details: ErrorDetails.BUFFER_APPEND_ERROR })).toBe("MEDIA");
  });
});
