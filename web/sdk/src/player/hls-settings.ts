import type { HlsConfig, LoaderResponse, LoadPolicy, RetryConfig } from "hls.js";

/** A failed playlist or part is asked for again 20 times, 250 ms apart: 5 s, a restart's length. */
const RETRIES = 20;
const RETRY_DELAY_MS = 250;
/** A connection that fails once may have been a stale one; twice, and nobody is there. */
const STALE_CONNECTIONS = 1;

/**
 * Whether to ask again. hls.js gives up at once on status 0 while the machine is online, which
 * is exactly what an edge or origin looks like while it restarts.
 *
 * @param leaves asked while nobody is there: whether to go elsewhere instead of waiting.
 */
export function retryRule(leaves: () => boolean) {
  return (
    retryConfig: RetryConfig | null | undefined,
    retryCount: number,
    isTimeout: boolean,
    response: LoaderResponse | undefined,
  ): boolean => {
    if (!retryConfig || retryCount >= retryConfig.maxNumRetry) return false;
    const status = response?.code;
    if (status === 0 && retryCount >= STALE_CONNECTIONS && leaves()) return false;
    return isTimeout || status === 0 || (status !== undefined && status >= 500) || status === 429;
  };
}

/** A blocking request may be held for three target durations before it is answered. */
function policy(
  leaves: () => boolean,
  maxTimeToFirstByteMs: number,
  maxLoadTimeMs: number,
): LoadPolicy {
  const retry: RetryConfig = {
    maxNumRetry: RETRIES,
    retryDelayMs: RETRY_DELAY_MS,
    maxRetryDelayMs: RETRY_DELAY_MS,
    backoff: "linear",
    shouldRetry: retryRule(leaves),
  };
  return {
    default: { maxTimeToFirstByteMs, maxLoadTimeMs, timeoutRetry: retry, errorRetry: retry },
  };
}

/** Nothing else is there: what cannot be had is waited for. */
const stays = () => false;

/**
 * How Odeon's low-latency playlists want to be played.
 *
 * @param leaves whether to go to another host now that the present one cannot be reached.
 */
export function hlsSettings(
  workerPath: string | null,
  leaves: () => boolean = stays,
): Partial<HlsConfig> {
  return {
    lowLatencyMode: true,
    // hls.js never catches up unless it may play faster than 1.
    maxLiveSyncPlaybackRate: 1.1,
    liveSyncOnStallIncrease: 0.33,
    liveDurationInfinity: true,
    backBufferLength: 60,
    enableWorker: true,
    ...(workerPath ? { workerPath } : {}),
    manifestLoadPolicy: policy(stays, 8000, 20_000),
    playlistLoadPolicy: policy(leaves, 10_000, 20_000),
    fragLoadPolicy: policy(leaves, 10_000, 60_000),
    steeringManifestLoadPolicy: policy(stays, 5000, 10_000),
  };
}
