import type {
  StageJoined,
  StageLayer,
  StageParticipant,
  StageSpeakers,
  StageTrack,
} from "../gen/odeon/signaling/v1/stage_pb";
import type { StageMedia, StageMember } from "./view";

/** Who is on stage and what they publish, as the server tells it. */
export class Roster {
  readonly #participants = new Map<string, StageParticipant>();
  readonly #tracks = new Map<string, StageTrack>();
  readonly #layers = new Map<string, StageLayer>();
  #levels = new Map<string, number>();

  /** Starts over with what the server says at a join. */
  reset(joined: StageJoined): void {
    this.#participants.clear();
    this.#tracks.clear();
    this.#layers.clear();
    this.#levels.clear();
    for (const participant of joined.participants) this.participant(participant);
    for (const track of joined.tracks) this.track(track);
  }

  participant(participant: StageParticipant): void {
    this.#participants.set(participant.identity, participant);
  }

  left(identity: string): void {
    this.#participants.delete(identity);
    for (const [id, track] of this.#tracks) if (track.identity === identity) this.removed(id);
  }

  track(track: StageTrack): void {
    this.#tracks.set(track.trackId, track);
  }

  removed(trackId: string): void {
    this.#tracks.delete(trackId);
    this.#layers.delete(trackId);
  }

  layer(layer: StageLayer): void {
    this.#layers.set(layer.trackId, layer);
  }

  speakers(speakers: StageSpeakers): void {
    this.#levels = new Map(speakers.speakers.map((s) => [s.identity, s.level]));
  }

  /** One's own track of a source. */
  own(identity: string, source: number): StageTrack | undefined {
    return [...this.#tracks.values()].find((t) => t.identity === identity && t.source === source);
  }

  midOf(trackId: string): string {
    return this.#tracks.get(trackId)?.mid ?? "";
  }

  members(): StageMember[] {
    return [...this.#participants.values()].map((p) => ({
      identity: p.identity,
      displayName: p.displayName || p.identity,
      role: p.role,
      admitted: p.admitted,
      level: this.#levels.get(p.identity) ?? 0,
    }));
  }

  media(trackOf: (mid: string) => MediaStreamTrack | undefined): StageMedia[] {
    return [...this.#tracks.values()].map((t) => ({
      trackId: t.trackId,
      identity: t.identity,
      kind: t.kind,
      source: t.source,
      codec: t.codec,
      muted: t.muted,
      layer: this.#layers.get(t.trackId)?.layer ?? "",
      paused: this.#layers.get(t.trackId)?.paused ?? false,
      track: t.mid ? trackOf(t.mid) : undefined,
    }));
  }
}
