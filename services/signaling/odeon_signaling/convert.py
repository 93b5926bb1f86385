"""Domain values ↔ stage messages."""

from odeon.room.v1 import room_pb2
from odeon.signaling.v1 import signaling_pb2, stage_pb2
from odeon_media import NodeStats, SessionStats, TrackStats

from odeon_signaling.domain.entry import Entry
from odeon_signaling.domain.grants import Grant
from odeon_signaling.domain.tracks import HostMutes, MediaKind, Source, Track
from odeon_signaling.members import Member

_KINDS = {
    MediaKind.AUDIO: stage_pb2.TRACK_KIND_AUDIO,
    MediaKind.VIDEO: stage_pb2.TRACK_KIND_VIDEO,
}
_SOURCES = {
    Source.CAMERA: stage_pb2.TRACK_SOURCE_CAMERA,
    Source.MICROPHONE: stage_pb2.TRACK_SOURCE_MICROPHONE,
    Source.SCREEN: stage_pb2.TRACK_SOURCE_SCREEN,
    Source.SCREEN_AUDIO: stage_pb2.TRACK_SOURCE_SCREEN_AUDIO,
}
_SOURCE_OF = {number: source for source, number in _SOURCES.items()}
CODECS = {"h264": "H264", "vp8": "VP8", "vp9": "VP9", "av1": "AV1", "opus": "opus"}
"""The media core's names of codecs → those of the stage protocol."""


def source_from_proto(number: stage_pb2.TrackSource.ValueType) -> Source | None:
    """The source a client named, if it named one."""
    return _SOURCE_OF.get(number)


def track_to_proto(track: Track, mid: str = "") -> stage_pb2.StageTrack:
    """A track as its receiver sees it; `mid` of its subscribe connection once subscribed."""
    return stage_pb2.StageTrack(
        track_id=track.id,
        identity=track.owner,
        kind=_KINDS[track.kind],
        source=_SOURCES[track.source],
        codec=track.codec,
        muted=track.muted,
        layers=track.layers,
        mid=mid,
    )


def participant_to_proto(member: Member) -> stage_pb2.StageParticipant:
    """A participant as others see it."""
    return stage_pb2.StageParticipant(
        identity=member.identity,
        display_name=member.grant.display_name,
        role=member.grant.role,
        admitted=member.admitted,
    )


def report_of(grant: Grant, state: room_pb2.Participant.State.ValueType) -> room_pb2.Participant:
    """A participant as room is told."""
    return room_pb2.Participant(
        name=f"events/{grant.key.event}/participants/{grant.identity}",
        identity=grant.identity,
        display_name=grant.display_name,
        role=grant.role,
        state=state,
        session_id=grant.session_id,
        hidden=grant.hidden,
    )


def entry_from_proto(participant: room_pb2.Participant) -> Entry:
    """Room's answer on a participant."""
    return Entry(
        admitted=participant.state == room_pb2.Participant.STATE_ADMITTED,
        removed=participant.state == room_pb2.Participant.STATE_REMOVED,
        mutes=HostMutes(audio=participant.audio_muted, video=participant.video_muted),
    )


def session_to_proto(session: SessionStats, tracks: list[TrackStats]) -> signaling_pb2.SessionStats:
    """Counters of one peer connection; the layers it publishes, or those it is sent."""
    layers = [(t, layer) for t in tracks if t.session == session.session for layer in t.layers]
    received = sum(layer.packets for _, layer in layers)
    lost = sum(layer.lost for _, layer in layers)
    return signaling_pb2.SessionStats(
        session_id=session.session,
        event_key=session.event,
        identity=session.participant,
        kind=session.kind,
        packets_in=session.packets_in,
        packets_out=session.packets_out,
        bytes_in=session.bytes_in,
        bytes_out=session.bytes_out,
        loss_in=lost / (lost + received) if lost + received else 0.0,
        loss_out=session.loss_fraction or 0.0,
        rtt_ms=session.rtt_ms or 0.0,
        jitter_ms=max((layer.jitter_ms for _, layer in layers), default=0.0),
        estimate_bps=session.estimate_bps or 0,
        layers=[
            *(
                signaling_pb2.LayerStats(
                    track_id=track.track, layer=layer.layer, bitrate_bps=layer.bitrate_bps
                )
                for track, layer in layers
            ),
            *(
                signaling_pb2.LayerStats(track_id=slot.track, layer=slot.layer or "")
                for slot in session.slots
                if slot.track
            ),
        ],
    )


def stats_to_proto(
    node: str, stats: NodeStats, event_key: str
) -> signaling_pb2.GetNodeStatsResponse:
    """A node's counters; only the sessions of `event_key` when it is given."""
    response = signaling_pb2.GetNodeStatsResponse(
        node=node,
        sessions=[
            session_to_proto(session, stats.tracks)
            for session in stats.sessions
            if event_key in ("", session.event)
        ],
        egress_calls=stats.egress_calls,
        egress_packets=stats.egress_packets,
    )
    response.sample_time.GetCurrentTime()
    return response
