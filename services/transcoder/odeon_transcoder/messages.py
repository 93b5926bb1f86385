"""What a job process and its parent say to each other: one JSON object a line, over pipes.

Commands go to the process's standard input, reports come from its standard output. Every message
is a frozen dataclass; its class name is its type on the wire. Both sides are always the same
version.
"""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any


class MalformedMessage(ValueError):
    """A line that is no message; the sender is broken."""


@dataclass(frozen=True, slots=True)
class StageTrack:
    """A published track; kind and source as in `pipeline.media`."""

    track_id: str
    identity: str
    name: str
    kind: str
    source: str
    codec: str = ""
    muted: bool = False
    mid: str = ""
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rendition:
    """What the recorder must know of a track."""

    track: str
    kind: str
    codec: str
    bandwidth_bps: int
    width: int
    height: int
    frame_rate: float
    part_target_s: float
    segment_target_s: int


# Commands: parent → process


@dataclass(frozen=True, slots=True)
class Start:
    """Begin a job. Sent once."""

    job: str
    tenant: str
    event: str
    profile: str
    ingest_url: str
    token: str
    media_host: str
    max_frame_rate: int = 0
    """Caps the profile's frame rate; 0 leaves it."""
    encoder: str = "libx264"
    preset: str = "veryfast"
    decode_device: str = ""
    patience_s: float = 0.4
    slate_after_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Join:
    """A new stage connection was made: forget the old media connection, await an offer."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The node's offer of the subscribe connection."""

    sdp: str
    revision: int


@dataclass(frozen=True, slots=True)
class Tracks:
    """All tracks of the stage, in order of appearance."""

    tracks: tuple[StageTrack, ...]


@dataclass(frozen=True, slots=True)
class Speaker:
    """The loudest participant now; empty when nobody speaks."""

    identity: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How to compose from now on."""

    kind: str
    focus: str = ""
    labels: bool = False


@dataclass(frozen=True, slots=True)
class Granted:
    """The recorder's answer to `Acquire`."""

    epoch: int
    next_msn: int
    next_event_time_s: float
    renditions: tuple[Rendition, ...]
    """What the epoch may write."""


@dataclass(frozen=True, slots=True)
class NothingWritten:
    """The recorder's answer to an `Acquire` without renditions where there are none yet."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The recorder will never grant: the timeline has ended, or somebody else owns it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Token:
    """A fresh service token for uploads."""

    token: str


@dataclass(frozen=True, slots=True)
class Finish:
    """End now; with `flush` what was encoded is still delivered."""

    flush: bool = True


# Reports: process → parent


@dataclass(frozen=True, slots=True)
class Hello:
    """Imports are done, a job may come."""

    pid: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer to an `Offer`."""

    sdp: str
    revision: int


@dataclass(frozen=True, slots=True)
class Acquire:
    """Ask the recorder for an epoch with these renditions, or with those that are there."""

    renditions: tuple[Rendition, ...] = ()


@dataclass(frozen=True, slots=True)
class WantLayer:
    """Ask the node for another simulcast layer of a track."""

    track_id: str
    layer: str


@dataclass(frozen=True, slots=True)
class WantToken:
    """Uploads were refused for want of a good token."""


@dataclass(frozen=True, slots=True)
class MediaLost:
    """The media connection broke; join again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Rung:
    """State of one rendition."""

    track: str
    running: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """Sign of life, a few times a second."""

    epoch: int = 0
    rungs: tuple[Rung, ...] = ()
    frames_received: int = 0
    frames_absent: int = 0
    frames_encoded: int = 0
    frames_repeated: int = 0
    frames_dropped: int = 0
    parts_pending: int = 0
    ack_p95_s: float | None = None
    slate: bool = False
    connected: bool = False
    tracks: dict[str, int] = field(default_factory=dict)
    """Frames received by track."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The programme is over: STOPPED, FENCED, ENDED, REFUSED or BROKEN. The process exits."""

    reason: str


Command = (
    Start | Join | Offer | Tracks | Speaker | Layout | Granted | NothingWritten | Refused
    | Token | Finish
)  # fmt: skip
Report = (
    Hello | Answer | Acquire | WantLayer | WantToken | MediaLost | Status | Ended
)  # fmt: skip

_TYPES: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (*typing.get_args(Command), *typing.get_args(Report))
}


def encode(message: Command | Report) -> bytes:
    """One line, with its end."""
    body = {"type": type(message).__name__, **dataclasses.asdict(message)}
    return json.dumps(body, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> Command | Report:
    """Read a line.

    Raises:
        MalformedMessage: not JSON, an unknown type, or fields that do not fit it.
    """
    try:
        body = json.loads(line)
        kind = _TYPES[body.pop("type")]
        built: Command | Report = _build(kind, body)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MalformedMessage(f"{type(error).__name__}: {error}") from error
    return built


@lru_cache(maxsize=64)
def _hints(kind: type[Any]) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _build(kind: Any, value: Any) -> Any:
    """Turn JSON into what a field's type says: dataclasses, tuples, plain values."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise TypeError(f"{kind.__name__} is an object")
        hints = _hints(kind)
        return kind(**{name: _build(hints[name], part) for name, part in value.items()})
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is tuple:
        return tuple(_build(arguments[0], part) for part in value)
    if origin is dict:
        return {str(key): _build(arguments[1], part) for key, part in value.items()}
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        kind = next(argument for argument in arguments if argument is not type(None))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return value
