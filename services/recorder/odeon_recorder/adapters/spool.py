"""The local spool: a folder per timeline with a journal and append-only segment files.

An acknowledged part is in its segment file and in the journal, both after fdatasync. The two are
written at the same time, so after a crash the journal may name bytes that never came: recovery
checks the digests at its end and cuts the log at the first fact whose bytes are not there. Such
facts were never acknowledged, because a batch is acknowledged only when all of it is on the disk.
"""

import asyncio
import hashlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odeon_runtime.logs import logger

from odeon_recorder.adapters import journal, manifest
from odeon_recorder.adapters.disk import Disk
from odeon_recorder.domain.records import Archived, Fact, InitStored, PartStored
from odeon_recorder.domain.refusals import SpoolFailed
from odeon_recorder.domain.snapshot import Snapshot, TrackState, restore, take
from odeon_recorder.domain.timeline import Timeline
from odeon_recorder.ports import Entry, Key

CHECKED_FACTS = 128
"""Facts whose bytes are checked after a restart: more than one batch ever holds."""
_JOURNAL = "journal.log"
_INDEX = "index.log"
_log = logger(__name__)


@contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    """Turns what the disk says into a refusal that callers know how to bear."""
    try:
        yield
    except OSError as error:
        _log.error("spool_failed", error=str(error), folder=str(folder))
        raise SpoolFailed("the local disk does not do its work") from error


class SpoolLog:
    """One timeline's folder; implements `ports.TimelineLog`."""

    def __init__(self, folder: Path, disk: Disk, threads: ThreadPoolExecutor, size: int) -> None:
        self._folder = folder
        self._disk = disk
        self._threads = threads
        self._size = size
        self._torn = False
        self._unsettled = False
        self._index_size = 0
        self._indexed: dict[str, int] = {}
        self._checkpointed = 0

    @property
    def growth(self) -> int:
        """Bytes of journal since the last checkpoint."""
        return self._size - self._checkpointed

    def resume(self, index_size: int, indexed: dict[str, int]) -> None:
        """Go on after recovery with what the index holds."""
        self._index_size = index_size
        self._indexed = dict(indexed)

    async def checkpoint(self, timeline: Timeline) -> None:
        """Write the state down and start the journal over, so that a restart reads little.

        Archived segments never change any more: they go to the index, which only grows. The
        journal begins with the head, the segments that are not archived yet and the open parts.
        """
        with _refusals(self._folder):
            await asyncio.to_thread(self._checkpoint, take(timeline))

    def _checkpoint(self, state: Snapshot) -> None:
        covered = {name: _archived_prefix(track) for name, track in state.tracks.items()}
        fresh = b"".join(
            manifest.chapter(
                name,
                track.segments[self._indexed.get(name, 0) : covered[name]],
                track.archived,
            )
            for name, track in state.tracks.items()
        )
        if fresh:
            self._disk.write(self._folder / _INDEX, fresh, offset=self._index_size)
        index_size = self._index_size + len(fresh)
        body = {"is": "Head", "index_bytes": index_size, "indexed": covered}
        lines = [journal.line({**body, **manifest.head_to_json(state)})]
        for name, track in state.tracks.items():
            for segment in track.segments[covered[name] :]:
                sealed = manifest.segment_to_json(name, segment, b"")
                lines.append(journal.line({"is": "Sealed", **sealed}))
        lines.append(journal.encode(state.open_parts))
        self._disk.stage(self._folder / _JOURNAL, b"".join(lines))
        self._disk.adopt(self._folder / _JOURNAL)
        self._size = self._checkpointed = sum(map(len, lines))
        self._index_size, self._indexed = index_size, covered
        self._torn, self._unsettled = False, True
        self._settle()

    def _settle(self) -> None:
        """Make the checkpoint's new journal outlast a power cut; no fact may join it before."""
        self._disk.settle(self._folder)
        self._unsettled = False

    async def commit(self, entries: Sequence[Entry]) -> None:
        """Write media and journal side by side, each with fdatasync; all or none."""
        lines = journal.encode(entry.fact for entry in entries)
        with _refusals(self._folder):
            if self._torn:
                await self._run(self._disk.truncate, self._folder / _JOURNAL, self._size)
                self._torn = False
            if self._unsettled:
                await self._run(self._settle)
        jobs = [self._run(self._write, entry) for entry in entries if entry.data]
        jobs.append(self._run(self._append, lines))
        results = await asyncio.gather(*jobs, return_exceptions=True)
        failed = [result for result in results if isinstance(result, BaseException)]
        if failed:
            # Whatever reached the journal is cut off before the next write.
            self._torn = True
            _log.error("spool_write_failed", error=str(failed[0]), folder=str(self._folder))
            raise SpoolFailed("the local disk did not take the write") from failed[0]
        self._size += len(lines)

    async def read(self, track: str, msn: int, *, offset: int = 0, size: int = -1) -> bytes | None:
        """Bytes of a segment's file."""
        path = segment_path(self._folder, track, msn)
        with _refusals(self._folder):
            return await asyncio.to_thread(self._disk.read, path, offset=offset, size=size)

    async def read_init(self, track: str, epoch: int) -> bytes | None:
        """An init section."""
        with _refusals(self._folder):
            return await asyncio.to_thread(self._disk.read, init_path(self._folder, track, epoch))

    async def forget(self, track: str, msn: int) -> None:
        """Delete a segment's file."""
        path = segment_path(self._folder, track, msn)
        with _refusals(self._folder):
            await asyncio.to_thread(path.unlink, missing_ok=True)

    async def remove(self) -> None:
        """Delete the folder."""
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _run(self, function: Callable[..., None], *args: object) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, function, *args)

    def _write(self, entry: Entry) -> None:
        path, offset = _place(self._folder, entry.fact)
        self._disk.write(path, entry.data, offset=offset)

    def _append(self, lines: bytes) -> None:
        self._disk.write(self._folder / _JOURNAL, lines, offset=self._size)


class DiskSpool:
    """All timelines of this recorder; implements `ports.Spool`."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self._root = root
        self._disk = disk or Disk()
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="spool")
        root.mkdir(parents=True, exist_ok=True)

    def close(self) -> None:
        """Let running writes finish."""
        self._threads.shutdown()

    async def keys(self) -> list[Key]:
        """Timelines with a journal."""
        return await asyncio.to_thread(self._keys)

    async def open(self, key: Key) -> tuple[SpoolLog, Timeline] | None:
        """Recover one timeline."""
        folder = self._folder(key)
        found = await asyncio.to_thread(recover, folder, self._disk, key)
        if found is None:
            return None
        log = SpoolLog(folder, self._disk, self._threads, found.size)
        log.resume(found.index_size, found.indexed)
        return log, found.timeline

    async def create(self, key: Key) -> SpoolLog:
        """Begin an empty log."""
        folder = self._folder(key)
        await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
        return SpoolLog(folder, self._disk, self._threads, 0)

    async def free_bytes(self) -> int:
        """Room that is left."""
        return await asyncio.to_thread(self._disk.free_bytes, self._root)

    def _folder(self, key: Key) -> Path:
        return self._root / key.tenant / key.event

    def _keys(self) -> list[Key]:
        found = self._root.glob(f"*/*/{_JOURNAL}")
        return sorted(Key(path.parent.parent.name, path.parent.name) for path in found)


def _archived_prefix(track: TrackState) -> int:
    """How many segments from the first on are archived."""
    count = 0
    while count < len(track.segments) and count in track.archived:
        count += 1
    return count


def segment_path(folder: Path, track: str, msn: int) -> Path:
    """File of a segment."""
    return folder / track / f"s{msn}.m4s"


def init_path(folder: Path, track: str, epoch: int) -> Path:
    """File of an init section."""
    return folder / track / f"init-{epoch}.mp4"


@dataclass(frozen=True, slots=True)
class _Recovered:
    timeline: Timeline
    size: int
    index_size: int
    indexed: dict[str, int]


def recover(folder: Path, disk: Disk, key: Key) -> _Recovered | None:
    """A timeline from its checkpoint and journal, after cutting what a crash tore."""
    data = disk.read(folder / _JOURNAL)
    if data is None:
        return None
    head: dict[str, Any] | None = None
    sealed: list[manifest.Located] = []
    lines: list[tuple[Fact, int]] = []
    size = 0
    for body, end in journal.bodies(data):
        if body["is"] == "Head":
            head, size = body, end
        elif body["is"] == "Sealed":
            sealed.append(manifest.segment_from_json(body))
            size = end
        else:
            lines.append((journal.from_json(body), end))
    kept = lines[: _first_hollow(folder, disk, [fact for fact, _ in lines])]
    size = kept[-1][1] if kept else size
    if size < len(data):
        _log.warning("journal_cut", folder=str(folder), bytes=len(data) - size)
        disk.truncate(folder / _JOURNAL, size)
    facts = [fact for fact, _ in kept]
    for path, length in _lengths(folder, facts).items():
        disk.truncate(path, length)
    timeline, index_size, indexed = Timeline(key.tenant, key.event), 0, {}
    if head is not None:
        index_size, indexed = head["index_bytes"], head["indexed"]
        index = disk.read(folder / _INDEX, size=index_size) or b""
        snapshot = manifest.snapshot_from_json(head, [*manifest.read_chapter(index), *sealed])
        timeline = restore(snapshot)
    timeline.apply_all(facts)
    return _Recovered(timeline, size, index_size, indexed)


def _first_hollow(folder: Path, disk: Disk, facts: list[Fact]) -> int:
    """Index of the first fact whose bytes are not on the disk."""
    first = max(0, len(facts) - CHECKED_FACTS)
    # An archived segment may have left the disk on purpose.
    archived = {(f.track, f.msn) for f in facts[first:] if isinstance(f, Archived)}
    for index in range(first, len(facts)):
        fact = facts[index]
        if not isinstance(fact, PartStored | InitStored):
            continue
        if isinstance(fact, PartStored) and (fact.track, fact.msn) in archived:
            continue
        if not _holds(folder, disk, fact):
            return index
    return len(facts)


def _holds(folder: Path, disk: Disk, fact: PartStored | InitStored) -> bool:
    path, offset = _place(folder, fact)
    data = disk.read(path, offset=offset, size=fact.size)
    return data is not None and hashlib.sha256(data).digest() == fact.digest


def _place(folder: Path, fact: Fact) -> tuple[Path, int]:
    if isinstance(fact, PartStored):
        return segment_path(folder, fact.track, fact.msn), fact.offset
    if isinstance(fact, InitStored):
        return init_path(folder, fact.track, fact.epoch), 0
    raise TypeError(f"{type(fact).__name__} carries no media")


def _lengths(folder: Path, facts: Sequence[Fact]) -> dict[Path, int]:
    """How long the files at the end of the log should be."""

    def ends() -> Iterator[tuple[Path, int]]:
        for fact in facts[-CHECKED_FACTS:]:
            if isinstance(fact, PartStored):
                yield segment_path(folder, fact.track, fact.msn), fact.offset + fact.size

    return dict(ends())
