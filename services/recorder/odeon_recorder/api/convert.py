"""Between wire types and the domain."""

from google.protobuf import duration_pb2
from odeon.recorder.v1 import recorder_pb2
from odeon_runtime.errors import InvalidArgument
from odeon_runtime.ids import TrackId

from odeon_recorder.domain.gaps import gaps_of
from odeon_recorder.domain.records import Granted, Kind, TrackSpec
from odeon_recorder.domain.timeline import Timeline
from odeon_recorder.domain.track import Track

_KINDS = {
    recorder_pb2.TrackSpec.KIND_VIDEO: Kind.VIDEO,
    recorder_pb2.TrackSpec.KIND_AUDIO: Kind.AUDIO,
}
_CODEC_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-+")


def spec_from_proto(spec: recorder_pb2.TrackSpec) -> TrackSpec:
    """Check and convert a track's specification; raises InvalidArgument.

    The codec ends up in playlists, so its characters are checked.
    """
    track = TrackId.parse(spec.track)
    if spec.kind not in _KINDS:
        raise InvalidArgument(field="tracks.kind", problem="is VIDEO or AUDIO")
    if not spec.codec or len(spec.codec) > 64 or not _CODEC_CHARACTERS.issuperset(spec.codec):
        raise InvalidArgument(field="tracks.codec", problem="is an RFC 6381 codec string")
    if not 0 < spec.bandwidth_bps <= 10**9:
        raise InvalidArgument(field="tracks.bandwidth_bps", problem="is 1 to 10^9")
    if not (0 <= spec.width_px <= 16384 and 0 <= spec.height_px <= 16384):
        raise InvalidArgument(field="tracks.width_px", problem="is 0 to 16384, as is the height")
    if not 0 <= spec.frame_rate <= 1000:
        raise InvalidArgument(field="tracks.frame_rate", problem="is 0 to 1000")
    if not 1 <= spec.segment_target_s <= 10:
        raise InvalidArgument(field="tracks.segment_target_s", problem="is 1 to 10")
    if not 0.1 <= spec.part_target_s <= spec.segment_target_s:
        raise InvalidArgument(field="tracks.part_target_s", problem="is 0.1 s to a segment")
    return TrackSpec(
        track=track,
        kind=_KINDS[spec.kind],
        codec=spec.codec,
        bandwidth_bps=spec.bandwidth_bps,
        width_px=spec.width_px,
        height_px=spec.height_px,
        frame_rate=spec.frame_rate,
        part_target_ns=round(spec.part_target_s * 1e9),
        segment_target_s=spec.segment_target_s,
    )


def spec_to_proto(spec: TrackSpec) -> recorder_pb2.TrackSpec:
    """A track's specification on the wire."""
    kinds = {kind: number for number, kind in _KINDS.items()}
    return recorder_pb2.TrackSpec(
        track=spec.track,
        kind=kinds[spec.kind],
        codec=spec.codec,
        bandwidth_bps=spec.bandwidth_bps,
        width_px=spec.width_px,
        height_px=spec.height_px,
        frame_rate=spec.frame_rate,
        part_target_s=spec.part_target_ns / 1e9,
        segment_target_s=spec.segment_target_s,
    )


def granted_to_proto(granted: Granted, origin_ms: int) -> recorder_pb2.AcquireTimelineResponse:
    """The answer to AcquireTimeline."""
    response = recorder_pb2.AcquireTimelineResponse(
        epoch=granted.epoch,
        next_msn=granted.next_msn,
        next_event_time=duration(granted.start_ns),
        tracks=[spec_to_proto(spec) for spec in granted.tracks],
    )
    response.origin_time.FromMilliseconds(origin_ms)
    return response


def timeline_to_proto(timeline: Timeline) -> recorder_pb2.Timeline:
    """A timeline with its tracks and gaps."""
    ended = timeline.ended_ms is not None
    tracks = list(timeline.tracks.values())
    state = recorder_pb2.Timeline.STATE_ENDED if ended else recorder_pb2.Timeline.STATE_LIVE
    message = recorder_pb2.Timeline(
        name=f"timelines/{timeline.event}",
        state=state,
        epoch=timeline.epoch,
        tracks=[_track_to_proto(timeline, track) for track in tracks],
        duration=duration(timeline.end_ns),
        size_bytes=sum(segment.size for track in tracks for segment in track.segments)
        + sum(track.open.size for track in tracks if track.open),
    )
    message.origin_time.FromMilliseconds(timeline.origin_ms)
    return message


def _track_to_proto(timeline: Timeline, track: Track) -> recorder_pb2.TrackTimeline:
    parts = sum(segment.part_count for segment in track.segments)
    return recorder_pb2.TrackTimeline(
        spec=spec_to_proto(track.spec),
        segments=sum(segment.gap is None for segment in track.segments),
        parts=parts + (len(track.open.parts) if track.open else 0),
        duration=duration(track.end_ns),
        gaps=[
            recorder_pb2.Gap(
                start=duration(gap.start_ns),
                duration=duration(gap.duration_ns),
                first_msn=gap.first_msn,
                reason=gap.reason.value,
            )
            for gap in gaps_of(timeline, track)
        ],
    )


def duration(ns: int) -> duration_pb2.Duration:
    """Nanoseconds on the wire."""
    message = duration_pb2.Duration()
    message.FromNanoseconds(ns)
    return message
