"""Facts as lines of text: CRC-32, a space, JSON. A torn line ends the log."""

import dataclasses
import json
import zlib
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import Any

from odeon_recorder.domain.records import (
    Archived,
    Ended,
    Fact,
    Gapped,
    GapReason,
    Granted,
    InitStored,
    Kind,
    PartStored,
    TrackSpec,
)

_TYPES: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Granted, InitStored, PartStored, Gapped, Archived, Ended)
}


def encode(facts: Iterable[Fact]) -> bytes:
    """Lines of a log."""
    return b"".join(line(to_json(fact)) for fact in facts)


def decode(data: bytes) -> Iterator[tuple[Fact, int]]:
    """Facts and where each one's line ends, up to the first line that is not whole."""
    for body, end in bodies(data):
        yield from_json(body), end


def line(body: dict[str, Any]) -> bytes:
    """One checked line."""
    text = json.dumps(body, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def bodies(data: bytes) -> Iterator[tuple[dict[str, Any], int]]:
    """JSON bodies and line ends, up to the first line that is not whole."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        text = data[start + 9 : end]
        if data[start : start + 9] != b"%08x " % zlib.crc32(text):
            return
        start = end + 1
        yield json.loads(text), start


def to_json(fact: Fact) -> dict[str, Any]:
    """A fact with its type's name under "is"."""
    return {"is": type(fact).__name__, **_plain(fact)}


def from_json(body: dict[str, Any]) -> Fact:
    """The fact behind `to_json`."""
    fields = dict(body)
    made: Fact = _made(_TYPES[fields.pop("is")], fields)
    return made


def _plain(value: Any) -> dict[str, Any]:
    return {f.name: _value(getattr(value, f.name)) for f in dataclasses.fields(value)}


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _made(kind: type[Any], fields: dict[str, Any]) -> Any:
    if "digest" in fields:
        fields["digest"] = bytes.fromhex(fields["digest"])
    if kind is Gapped:
        fields["reason"] = GapReason(fields["reason"])
    if kind is Granted:
        fields["tracks"] = tuple(spec_from_json(spec) for spec in fields["tracks"])
    return kind(**fields)


def spec_to_json(spec: TrackSpec) -> dict[str, Any]:
    """A track's specification as JSON."""
    return _plain(spec)


def spec_from_json(body: dict[str, Any]) -> TrackSpec:
    """The specification behind `spec_to_json`."""
    return TrackSpec(**{**body, "kind": Kind(body["kind"])})
