/** What flows over the two connections of a stage. */
export interface StageStats {
  sendBps: number;
  receiveBps: number;
  /** Round trip to the node in milliseconds. */
  roundTripMs: number | undefined;
  /** Lost of what was sent, 0 to 1, as the node reports it. */
  lossSent: number | undefined;
  /** Best video layer sent. */
  video: { width: number; height: number; framesPerSecond: number; codec: string } | undefined;
  /** "bandwidth", "cpu", "other" or "none". */
  limitedBy: string;
}

/** Turns counters into rates between two readings. */
export class StatsMeter {
  readonly #last = new Map<string, { value: number; at: number }>();

  /** Bits per second since the last call with this key; 0 at the first. */
  rate(key: string, bytes: number, atMs: number): number {
    const last = this.#last.get(key);
    this.#last.set(key, { value: bytes, at: atMs });
    if (!last || atMs <= last.at || bytes < last.value) return 0;
    return ((bytes - last.value) * 8000) / (atMs - last.at);
  }

  reset(): void {
    this.#last.clear();
  }
}

export async function readStats(
  meter: StatsMeter,
  publish: RTCPeerConnection | undefined,
  subscribe: RTCPeerConnection | undefined,
): Promise<StageStats> {
  const result: StageStats = {
    sendBps: 0,
    receiveBps: 0,
    roundTripMs: undefined,
    lossSent: undefined,
    video: undefined,
    limitedBy: "none",
  };
  if (publish) readPublish(await publish.getStats(), meter, result);
  if (subscribe) readSubscribe(await subscribe.getStats(), meter, result);
  return result;
}

function readPublish(report: RTCStatsReport, meter: StatsMeter, result: StageStats): void {
  for (const stat of report.values() as Iterable<RTCStats>) {
    if (stat.type === "transport") {
      const { bytesSent = 0 } = stat as RTCTransportStats;
      result.sendBps += meter.rate(`send ${stat.id}`, bytesSent, stat.timestamp);
    } else if (stat.type === "candidate-pair") {
      readRoundTrip(stat as RTCIceCandidatePairStats, result);
    } else if (stat.type === "remote-inbound-rtp") {
      const { fractionLost } = stat as RTCStats & { fractionLost?: number };
      if (fractionLost !== undefined) {
        result.lossSent = Math.max(result.lossSent ?? 0, fractionLost);
      }
    } else if (stat.type === "outbound-rtp") {
      readOutbound(stat as RTCOutboundRtpStreamStats, report, result);
    }
  }
}

function readOutbound(
  stat: RTCOutboundRtpStreamStats,
  report: RTCStatsReport,
  result: StageStats,
): void {
  if (stat.kind !== "video" || !stat.frameHeight) return;
  if (stat.qualityLimitationReason && stat.qualityLimitationReason !== "none") {
    result.limitedBy = stat.qualityLimitationReason;
  }
  if (result.video && result.video.height >= stat.frameHeight) return;
  const codec = report.get(stat.codecId ?? "") as { mimeType?: string } | undefined;
  result.video = {
    width: stat.frameWidth ?? 0,
    height: stat.frameHeight,
    framesPerSecond: Math.round(stat.framesPerSecond ?? 0),
    codec: codec?.mimeType?.replace(/^video\//, "") ?? "",
  };
}

function readSubscribe(report: RTCStatsReport, meter: StatsMeter, result: StageStats): void {
  for (const stat of report.values() as Iterable<RTCStats>) {
    if (stat.type === "transport") {
      const { bytesReceived = 0 } = stat as RTCTransportStats;
      result.receiveBps += meter.rate(`receive ${stat.id}`, bytesReceived, stat.timestamp);
    } else if (stat.type === "candidate-pair") {
      readRoundTrip(stat as RTCIceCandidatePairStats, result);
    }
  }
}

function readRoundTrip(pair: RTCIceCandidatePairStats, result: StageStats): void {
  if (!pair.nominated || pair.currentRoundTripTime === undefined) return;
  result.roundTripMs ??= pair.currentRoundTripTime * 1000;
}
