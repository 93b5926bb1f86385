"""What the recorder refuses, each with a reason that a client can act on."""

from odeon_runtime.errors import DomainError, Kind


class TimelineNotFound(DomainError):
    """No such timeline in this tenant."""

    kind = Kind.NOT_FOUND
    reason = "TIMELINE_NOT_FOUND"


class TimelineHeld(DomainError):
    """The present owner still gives signs of life; ask again after `retry_after_s`."""

    kind = Kind.ABORTED
    reason = "TIMELINE_HELD"


class TimelineFenced(DomainError):
    """A higher epoch exists: whoever asks has lost the timeline and must stop."""

    kind = Kind.PRECONDITION
    reason = "TIMELINE_FENCED"


class TimelineEnded(DomainError):
    """The timeline is closed for ever."""

    kind = Kind.PRECONDITION
    reason = "TIMELINE_ENDED"


class TimelineLive(DomainError):
    """The timeline still runs; end it first."""

    kind = Kind.PRECONDITION
    reason = "TIMELINE_LIVE"


class TracksMismatch(DomainError):
    """The tracks asked for do not fit what the timeline's playlists already promise."""

    kind = Kind.PRECONDITION
    reason = "TRACKS_MISMATCH"


class TracksMissing(DomainError):
    """Nothing was written yet that one could go on with: name the tracks."""

    kind = Kind.PRECONDITION
    reason = "TRACKS_MISSING"


class TrackUnknown(DomainError):
    """The present epoch was not granted this track."""

    kind = Kind.NOT_FOUND
    reason = "TRACK_UNKNOWN"


class EpochUnknown(DomainError):
    """An epoch that was never granted."""

    kind = Kind.INVALID
    reason = "EPOCH_UNKNOWN"


class PartInvalid(DomainError):
    """A part that could never be listed: its size or duration breaks the playlist's promises."""

    kind = Kind.INVALID
    reason = "PART_INVALID"


class DigestMismatch(DomainError):
    """The body is not what its Content-Digest says."""

    kind = Kind.INVALID
    reason = "DIGEST_MISMATCH"


class PartConflict(DomainError):
    """Something else is already stored at this place."""

    kind = Kind.ALREADY_EXISTS
    reason = "PART_CONFLICT"


class OutOfOrder(DomainError):
    """The part would leave a hole; `expected_msn` and `expected_part` say what is due."""

    kind = Kind.ABORTED
    reason = "OUT_OF_ORDER"


class SegmentClosed(DomainError):
    """The segment was closed or given up as a gap; go on at a later segment's first part."""

    kind = Kind.ABORTED
    reason = "SEGMENT_CLOSED"


class InitMissing(DomainError):
    """The epoch's init section must come before its first part."""

    kind = Kind.ABORTED
    reason = "INIT_MISSING"


class BadDirective(DomainError):
    """A delivery directive that is malformed or asks too far ahead (HTTP 400)."""

    kind = Kind.INVALID
    reason = "BAD_DIRECTIVE"


class MediaNotFound(DomainError):
    """No such playlist, part, segment or init section."""

    kind = Kind.NOT_FOUND
    reason = "MEDIA_NOT_FOUND"


class NotYet(DomainError):
    """What was asked for did not come within three target durations (HTTP 503)."""

    kind = Kind.UNAVAILABLE
    reason = "NOT_YET"


class DiskFull(DomainError):
    """No room for a new timeline; running ones may use the reserve."""

    kind = Kind.EXHAUSTED
    reason = "DISK_FULL"


class SpoolFailed(DomainError):
    """The local disk did not take the write; nothing was acknowledged."""

    kind = Kind.UNAVAILABLE
    reason = "SPOOL_FAILED"


class RecordingDamaged(DomainError):
    """Object storage does not give back what was stored; a person must look at it."""

    kind = Kind.UNAVAILABLE
    reason = "RECORDING_DAMAGED"


class TooBusy(DomainError):
    """More writes wait for this timeline than it should ever have."""

    kind = Kind.EXHAUSTED
    reason = "TOO_BUSY"
