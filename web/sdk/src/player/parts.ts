import type Hls from "hls.js";
import { type ElementaryStreamInfo, Events, type Fragment, type Part } from "hls.js";

/** Playlists round durations: parts and buffer may differ by this much (seconds). */
const ROUNDING_S = 0.05;

/**
 * Keeps hls.js (1.7) from loading one part of the sound for ever. Sound that arrives before the
 * picture's first timestamp is known is kept back and then appended as one piece, of which only
 * the first part is noted as loaded; at a segment's end hls.js then asks for its last part again
 * and again. Parts that the buffer holds are noted here.
 */
export function noteBufferedParts(hls: Pick<Hls, "on">): void {
  let segment: Fragment | undefined;
  const arrived: Part[] = [];
  hls.on(Events.FRAG_LOADED, (_, { frag, part }) => {
    if (frag.type !== "audio" || !part) return;
    if (frag !== segment) {
      segment = frag;
      arrived.length = 0;
    }
    arrived.push(part);
  });
  hls.on(Events.BUFFER_APPENDED, (_, { type, frag, timeRanges }) => {
    const buffered = timeRanges.audio;
    if (type !== "audio" || frag !== segment || !buffered) return;
    for (const part of arrived) {
      if (!part.loaded && holds(buffered, part)) part.elementaryStreams.audio = times(part);
    }
  });
}

function holds(buffered: TimeRanges, part: Part): boolean {
  for (let index = 0; index < buffered.length; index++) {
    const from = buffered.start(index) - ROUNDING_S;
    if (from <= part.start && part.end <= buffered.end(index) + ROUNDING_S) return true;
  }
  return false;
}

function times({ start, end }: Part): ElementaryStreamInfo {
  return { startPTS: start, endPTS: end, startDTS: start, endDTS: end };
}
