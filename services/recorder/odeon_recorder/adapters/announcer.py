"""Facts of the recorder on the bus."""

from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope

from odeon_recorder.ports import Key


class BusAnnouncer:
    """Implements `ports.Announcer` over the bus's outbox."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    def acquired(self, key: Key, *, epoch: int, owner: str) -> None:
        """Publish TimelineAcquired."""
        fact = events_pb2.TimelineAcquired(event_id=key.event, epoch=epoch, owner=owner)
        self._publish("recorder.timeline.acquired", key, timeline_acquired=fact)

    def segment_closed(
        self, key: Key, *, track: str, msn: int, duration_ns: int, size: int
    ) -> None:
        """Publish SegmentClosed."""
        fact = events_pb2.SegmentClosed(
            event_id=key.event,
            track=track,
            msn=msn,
            duration_ms=round(duration_ns / 1_000_000),
            size_bytes=size,
        )
        self._publish("recorder.segment.closed", key, segment_closed=fact)

    def ended(self, key: Key, *, duration_ns: int, gaps: int) -> None:
        """Publish TimelineEnded."""
        fact = events_pb2.TimelineEnded(
            event_id=key.event, duration_ms=round(duration_ns / 1_000_000), gaps=gaps
        )
        self._publish("recorder.timeline.ended", key, timeline_ended=fact)

    def _publish(self, path: str, key: Key, **fact: object) -> None:
        self._bus.publish(subjects.fact(path, key.tenant, key.event), envelope(key.tenant, **fact))
