"""What the use cases need from the outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from odeon_recorder.domain.records import Fact
from odeon_recorder.domain.timeline import Timeline


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Names a timeline; every file and object key starts with it."""

    tenant: str
    event: str

    def __str__(self) -> str:
        """The key as a path."""
        return f"{self.tenant}/{self.event}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A fact for the log and the media bytes that it speaks of."""

    fact: Fact
    data: bytes = b""


class TimelineLog(Protocol):
    """A timeline's log and media on the local disk."""

    async def commit(self, entries: Sequence[Entry]) -> None:
        """Make facts and media durable, all or none; raises SpoolFailed."""
        ...

    async def read(self, track: str, msn: int, *, offset: int = 0, size: int = -1) -> bytes | None:
        """Bytes of a segment; None if not on this disk (any more); raises SpoolFailed."""
        ...

    async def read_init(self, track: str, epoch: int) -> bytes | None:
        """An init section; None if it is not on this disk; raises SpoolFailed."""
        ...

    @property
    def growth(self) -> int:
        """Bytes of journal since the last checkpoint."""
        ...

    async def checkpoint(self, timeline: Timeline) -> None:
        """Write the state down and start the journal over; raises SpoolFailed."""
        ...

    async def forget(self, track: str, msn: int) -> None:
        """Free an archived segment's room; raises SpoolFailed."""
        ...

    async def remove(self) -> None:
        """Free everything."""
        ...


class Spool(Protocol):
    """The local disk."""

    async def keys(self) -> list[Key]:
        """Timelines that have a log here."""
        ...

    async def open(self, key: Key) -> tuple[TimelineLog, Timeline] | None:
        """Recover a log and its timeline, cut where a crash tore it. None if there is none."""
        ...

    async def create(self, key: Key) -> TimelineLog:
        """Begin an empty log."""
        ...

    async def free_bytes(self) -> int:
        """Room that is left."""
        ...


class Archive(Protocol):
    """Object storage."""

    async def put(self, path: str, data: bytes) -> None:
        """Store an object; raises ArchiveAway."""
        ...

    async def get(self, path: str, *, offset: int = 0, size: int = -1) -> bytes | None:
        """An object or a range of it; None if there is none; raises ArchiveAway."""
        ...

    async def put_manifest(self, timeline: Timeline) -> None:
        """Store the manifest of what is archived; raises ArchiveAway."""
        ...

    async def get_timeline(self, key: Key) -> Timeline | None:
        """A timeline from its manifest; None without; raises ArchiveAway, RecordingDamaged."""
        ...

    async def ended_ms(self, key: Key) -> int | None:
        """When a timeline ended; None while it lives or if there is none."""
        ...

    async def keys(self, tenant: str = "") -> list[Key]:
        """Timelines with a manifest, of one tenant or of all; raises ArchiveAway."""
        ...

    async def delete(self, key: Key) -> None:
        """Delete everything of a timeline; raises ArchiveAway."""
        ...


class ArchiveAway(Exception):
    """Object storage does not answer; nothing is known to have changed."""


class Announcer(Protocol):
    """Tells the rest of the product; never blocks, never fails."""

    def acquired(self, key: Key, *, epoch: int, owner: str) -> None:
        """An epoch was granted."""
        ...

    def segment_closed(
        self, key: Key, *, track: str, msn: int, duration_ns: int, size: int
    ) -> None:
        """A segment is complete."""
        ...

    def ended(self, key: Key, *, duration_ns: int, gaps: int) -> None:
        """The timeline was closed."""
        ...
