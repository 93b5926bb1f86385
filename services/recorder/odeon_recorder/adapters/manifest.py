"""Timelines written down: a head, and one line per closed segment with its checksums.

The same form serves the spool's checkpoint and the manifest in object storage.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from odeon_recorder.adapters import journal
from odeon_recorder.domain.gaps import gaps_of
from odeon_recorder.domain.records import GapReason, InitStored, Segment
from odeon_recorder.domain.snapshot import Snapshot, TrackState
from odeon_recorder.domain.timeline import Anchor, Epoch, Timeline

VERSION = 1
CHAPTER_SEGMENTS = 256
"""Segments of a chapter, an immutable piece of a manifest: 8.5 minutes of a track."""

Located = tuple[str, Segment, bytes]
"""A track's name, a segment and its SHA-256, b"" when it is not known or a gap."""


def head_to_json(snapshot: Snapshot) -> dict[str, Any]:
    """All of a snapshot but segments and open parts."""
    return {
        "version": VERSION,
        "tenant": snapshot.tenant,
        "event": snapshot.event,
        "origin_ms": snapshot.origin_ms,
        "ended_ms": snapshot.ended_ms,
        "segment_target_s": snapshot.segment_target_s,
        "part_target_ns": snapshot.part_target_ns,
        "granted": sorted(snapshot.granted),
        "epochs": [
            [
                *(e.number, e.owner, e.first_msn, e.start_ns),
                [[anchor.msn, anchor.at_ns, anchor.wall_ms] for anchor in e.anchors],
            ]
            for e in snapshot.epochs
        ],
        "tracks": {
            name: {
                "spec": journal.spec_to_json(state.spec),
                "inits": [[i.epoch, i.size, i.digest.hex()] for i in state.inits],
            }
            for name, state in snapshot.tracks.items()
        },
    }


def snapshot_from_json(head: Mapping[str, Any], segments: Iterable[Located]) -> Snapshot:
    """The snapshot behind a head and its segments, which come in order per track."""
    by_track: dict[str, list[Segment]] = {name: [] for name in head["tracks"]}
    archived: dict[str, dict[int, bytes]] = {name: {} for name in head["tracks"]}
    for track, segment, digest in segments:
        if segment.msn != len(by_track[track]):
            raise ValueError(f"segment {segment.msn} of {track} comes out of order")
        by_track[track].append(segment)
        if digest or segment.gap is not None:
            archived[track][segment.msn] = digest
    return Snapshot(
        tenant=head["tenant"],
        event=head["event"],
        epochs=tuple(
            Epoch(number, owner, first_msn, start_ns, tuple(Anchor(*anchor) for anchor in anchors))
            for number, owner, first_msn, start_ns, anchors in head["epochs"]
        ),
        granted=frozenset(head["granted"]),
        origin_ms=head["origin_ms"],
        ended_ms=head["ended_ms"],
        segment_target_s=head["segment_target_s"],
        part_target_ns=head["part_target_ns"],
        tracks={
            name: TrackState(
                journal.spec_from_json(body["spec"]),
                tuple(
                    InitStored(name, epoch, size, bytes.fromhex(digest))
                    for epoch, size, digest in body["inits"]
                ),
                by_track[name],
                archived[name],
            )
            for name, body in head["tracks"].items()
        },
    )


def segment_to_json(track: str, segment: Segment, digest: bytes) -> dict[str, Any]:
    """One segment with the checksums of itself and of its parts."""
    body: dict[str, Any] = {
        "track": track,
        "msn": segment.msn,
        "epoch": segment.epoch,
        "start_ns": segment.start_ns,
        "duration_ns": segment.duration_ns,
    }
    if segment.gap is not None:
        return {**body, "gap": segment.gap.value}
    parts = base64.b64encode(segment.packed).decode()
    return {**body, "size": segment.size, "parts": parts, "sha256": digest.hex()}


def segment_from_json(body: Mapping[str, Any]) -> Located:
    """The segment behind `segment_to_json`."""
    segment = Segment(
        body["msn"],
        body["epoch"],
        body["start_ns"],
        body["duration_ns"],
        packed=base64.b64decode(body.get("parts", "")),
        size=body.get("size", 0),
        gap=GapReason(body["gap"]) if "gap" in body else None,
    )
    return body["track"], segment, bytes.fromhex(body.get("sha256", ""))


def chapter(track: str, segments: Sequence[Segment], digests: Mapping[int, bytes]) -> bytes:
    """An immutable piece of a manifest: lines of checked JSON."""
    return b"".join(
        journal.line(segment_to_json(track, s, digests.get(s.msn, b""))) for s in segments
    )


def read_chapter(data: bytes) -> list[Located]:
    """The segments of a chapter."""
    return [segment_from_json(body) for body, _ in journal.bodies(data)]


def manifest(timeline: Timeline, snapshot: Snapshot, chapters: Mapping[str, list[str]]) -> bytes:
    """The truth about a timeline in object storage.

    Args:
        timeline: for its gap list.
        snapshot: what to write down; only archived segments are in it.
        chapters: SHA-256 of each full chapter by track; the rest is listed here.
    """
    head = head_to_json(snapshot)
    for name, state in snapshot.tracks.items():
        done = len(chapters.get(name, [])) * CHAPTER_SEGMENTS
        body = head["tracks"][name]
        body["chapters"] = chapters.get(name, [])
        body["segments"] = [
            segment_to_json(name, segment, state.archived.get(segment.msn, b""))
            for segment in state.segments[done:]
            if segment.msn in state.archived
        ]
        body["gaps"] = [
            [gap.start_ns, gap.duration_ns, gap.first_msn, gap.reason.value]
            for gap in gaps_of(timeline, timeline.tracks[name])
        ]
    return json.dumps(head, indent=1).encode()


def chapter_path(track: str, number: int) -> str:
    """A chapter's path within its timeline's prefix."""
    return f"{track}/chapter-{number}.log"


def sha256(data: bytes) -> str:
    """Checksum as the manifest writes it."""
    return hashlib.sha256(data).hexdigest()
