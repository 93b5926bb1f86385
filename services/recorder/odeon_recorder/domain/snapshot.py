"""A timeline's whole state, to be written down and brought back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from odeon_recorder.domain.records import InitStored, PartStored, Segment, TrackSpec
from odeon_recorder.domain.timeline import Epoch, Timeline
from odeon_recorder.domain.track import Track


@dataclass(frozen=True, slots=True)
class TrackState:
    """One track. `archived` has the SHA-256 of segments in object storage, b"" for gaps."""

    spec: TrackSpec
    inits: tuple[InitStored, ...]
    segments: Sequence[Segment]
    archived: Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything but what is open; `open_parts` are the facts that make the open segments."""

    tenant: str
    event: str
    epochs: tuple[Epoch, ...]
    granted: frozenset[str]
    origin_ms: int
    ended_ms: int | None
    segment_target_s: int
    part_target_ns: int
    tracks: Mapping[str, TrackState]
    open_parts: tuple[PartStored, ...] = ()


def take(timeline: Timeline) -> Snapshot:
    """The timeline as it is now; later appends do not show."""
    return Snapshot(
        tenant=timeline.tenant,
        event=timeline.event,
        epochs=tuple(replace(epoch) for epoch in timeline.epochs),
        granted=timeline.granted,
        origin_ms=timeline.origin_ms,
        ended_ms=timeline.ended_ms,
        segment_target_s=timeline.segment_target_s,
        part_target_ns=timeline.part_target_ns,
        tracks={
            name: TrackState(
                track.spec,
                tuple(track.inits.values()),
                tuple(track.segments),
                dict(track.archived),
            )
            for name, track in timeline.tracks.items()
        },
        open_parts=tuple(fact for track in timeline.tracks.values() for fact in _open(track)),
    )


def restore(snapshot: Snapshot) -> Timeline:
    """The timeline behind `take`."""
    timeline = Timeline(snapshot.tenant, snapshot.event)
    timeline.epochs = [replace(epoch) for epoch in snapshot.epochs]
    timeline.granted = snapshot.granted
    timeline.origin_ms = snapshot.origin_ms
    timeline.ended_ms = snapshot.ended_ms
    timeline.segment_target_s = snapshot.segment_target_s
    timeline.part_target_ns = snapshot.part_target_ns
    for name, state in snapshot.tracks.items():
        timeline.tracks[name] = Track(
            state.spec,
            segments=list(state.segments),
            inits={init.epoch: init for init in state.inits},
            archived=dict(state.archived),
        )
    timeline.apply_all(snapshot.open_parts)
    return timeline


def _open(track: Track) -> list[PartStored]:
    facts: list[PartStored] = []
    offset = 0
    for index, part in enumerate(track.open.parts if track.open else ()):
        assert track.open is not None
        facts.append(
            PartStored(
                track=track.spec.track,
                epoch=track.open.epoch,
                msn=track.open.msn,
                part=index,
                offset=offset,
                size=part.size,
                duration_ns=part.duration_ns,
                independent=part.independent,
                last=False,
                digest=part.digest,
                wall_ms=0,
            )
        )
        offset += part.size
    return facts
