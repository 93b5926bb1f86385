import type { HlsConfig, LoaderResponse, LoadPolicy, RetryConfig } from "hls.js";

/** A failed playlist or part is asked for again 20 times, 250 ms apart: 5 s, a restart's length. */
const RETRIES = 20;
const RETRY_DELAY_MS = 250;

/**
 * Whether to ask again. hls.js gives up at once on status 0 while the machine is online, which
 * is exactly what an edge or origin looks like while it restarts.
 */
export function shouldRetry(
  retryConfig: RetryConfig | null | undefined,
  retryCount: number,
  isTimeout: boolean,
  response: LoaderResponse | undefined,
): boolean {
  if (!retryConfig || retryCount >= retryConfig.maxNumRetry) return false;
  const status = response?.code;
  return isTimeout || status === 0 || (status !== undefined && status >= 500) || status === 429;
}

const retry: RetryConfig = {
  maxNumRetry: RETRIES,
  retryDelayMs: RETRY_DELAY_MS,
  maxRetryDelayMs: RETRY_DELAY_MS,
  backoff: "linear",
  shouldRetry,
};

/** A blocking request may be held for three target durations before it is answered. */
function policy(maxTimeToFirstByteMs: number, maxLoadTimeMs: number): LoadPolicy {
  return {
    default: { maxTimeToFirstByteMs, maxLoadTimeMs, timeoutRetry: retry, errorRetry: retry },
  };
}

/** How Odeon's low-latency playlists want to be played. */
export function hlsSettings(workerPath: string | null): Partial<HlsConfig> {
  return {
    lowLatencyMode: true,
    // hls.js never catches up unless it may play faster than 1.
    maxLiveSyncPlaybackRate: 1.1,
    liveSyncOnStallIncrease: 0.33,
    liveDurationInfinity: true,
    backBufferLength: 60,
    enableWorker: true,
    ...(workerPath ? { workerPath } : {}),
    manifestLoadPolicy: policy(8000, 20_000),
    playlistLoadPolicy: policy(10_000, 20_000),
    fragLoadPolicy: policy(10_000, 60_000),
    steeringManifestLoadPolicy: policy(5000, 10_000),
  };
}
