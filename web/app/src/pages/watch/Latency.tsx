import type { HlsPlayer } from "@odeon/sdk/hls";
import type { WhepPlayer } from "@odeon/sdk/whep";
import { useEffect, useState } from "react";
import { useTranslation } from "react-i18next";
import { sampleLatency } from "../../lib/debug";
import type { Protocol } from "./Player";
import css from "./Player.module.css";

const SAMPLE_MS = 1000;

/** Seconds behind what happens, sampled once a second. */
export function useLatency(
  protocol: Protocol,
  hls: HlsPlayer | undefined,
  whep: WhepPlayer | undefined,
): number | undefined {
  const [latency, setLatency] = useState<number>();
  useEffect(() => {
    setLatency(undefined);
    const timer = setInterval(() => {
      const read = protocol === "hls" ? hls?.latency : whepLatency(whep);
      void Promise.resolve(read).then((seconds) => {
        setLatency(seconds);
        if (seconds !== undefined) sampleLatency(seconds, protocol);
      });
    }, SAMPLE_MS);
    return () => clearInterval(timer);
  }, [protocol, hls, whep]);
  return latency;
}

/** Network and receiver: half a round trip and the time that frames wait to be shown. */
async function whepLatency(player: WhepPlayer | undefined): Promise<number | undefined> {
  const buffered = await player?.bufferDelay();
  if (buffered === undefined) return undefined;
  const report = await player?.pc?.getStats();
  for (const stat of (report?.values() ?? []) as Iterable<RTCIceCandidatePairStats>) {
    if (stat.type === "candidate-pair" && stat.nominated) {
      return buffered + (stat.currentRoundTripTime ?? 0) / 2;
    }
  }
  return buffered;
}

export function Latency(props: { seconds: number | undefined; protocol: Protocol; live: boolean }) {
  const { t, i18n } = useTranslation();
  const { seconds, protocol, live } = props;
  if (!live) return null;
  const format = new Intl.NumberFormat(i18n.language, {
    minimumFractionDigits: 1,
    maximumFractionDigits: protocol === "whep" ? 2 : 1,
  });
  return (
    <span className={css.latency} title={t("watch.latencyHelp")}>
      {t("watch.latency")}{" "}
      <output data-testid="latency" data-seconds={seconds}>
        {seconds === undefined ? "–" : t("watch.seconds", { value: format.format(seconds) })}
      </output>
    </span>
  );
}
