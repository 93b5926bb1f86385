import type Hls from "hls.js";
import { type ElementaryStreamInfo, Events, type Fragment, type Level, type Part } from "hls.js";

/** Playlists round durations: parts and buffer may differ by this much (seconds). */
const ROUNDING_S = 0.05;

/**
 * Notes parts as loaded that the buffer holds and that hls.js (1.7) has lost count of. It must
 * not: a complete segment of which one part counts as missing is never left, so that nothing is
 * asked for until that segment's parts leave the playlist, seconds later.
 *
 * Two things make it lose count. Sound that arrives before the picture's first timestamp is
 * known is kept back and then appended as one piece, of which only the first part is noted. And
 * when what was played long ago is evicted from the buffer between a part's arrival and its
 * append, the whole segment is taken for evicted.
 */
export function noteBufferedParts(hls: Pick<Hls, "on">): void {
  note(hls, "audio", "audio");
  note(hls, "main", "video");
}

/** Keeps count of a playlist's parts that end in one of the element's buffers. */
function note(hls: Pick<Hls, "on">, playlist: "audio" | "main", buffer: "audio" | "video"): void {
  let segment: Fragment | undefined;
  const arrived: Part[] = [];
  hls.on(Events.FRAG_LOADED, (_, { frag, part }) => {
    if (frag.type !== playlist || !part) return;
    if (!isSame(frag, segment)) arrived.length = 0;
    segment = frag;
    arrived.push(part);
  });
  hls.on(Events.BUFFER_APPENDED, (_, { type, frag, timeRanges }) => {
    const buffered = timeRanges[buffer];
    if (type !== buffer || frag.type !== playlist || !isSame(frag, segment) || !buffered) return;
    noteHeld(arrived, buffer, buffered);
  });
}

/**
 * Notes the picture's parts that the buffer holds when playback moves to another pathway. It is the
 * same rendition on another host, but hls.js knows what was loaded of the one that it left alone,
 * and at a segment's end waits until that segment's parts have left the new playlist.
 */
export function notePartsOfClones(hls: Pick<Hls, "on" | "levels" | "media">): void {
  let played: Level | undefined;
  hls.on(Events.FRAG_BUFFERED, (_, { frag }) => {
    if (frag.type === "main") played = hls.levels[frag.level];
  });
  hls.on(Events.LEVEL_UPDATED, (_, { level, details }) => {
    const next = hls.levels[level];
    const buffered = hls.media?.buffered;
    if (!played || !next || !buffered || !isClone(next, played)) return;
    noteHeld(details.partList ?? [], "video", buffered);
  });
}

function isClone(one: Level, other: Level): boolean {
  const same = one.height === other.height && one.bitrate === other.bitrate;
  return one.pathwayId !== other.pathwayId && same;
}

/** Every refresh of a playlist describes its segments anew. */
function isSame(one: Fragment, other: Fragment | undefined): boolean {
  return one.sn === other?.sn && one.level === other.level;
}

function noteHeld(parts: Part[], buffer: "audio" | "video", buffered: TimeRanges): void {
  for (const part of parts) {
    if (!part.loaded && holds(buffered, part)) part.elementaryStreams[buffer] = times(part);
  }
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
