"""Object storage by obstore: a directory, S3, GCS or Azure behind one interface."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import LocalStore, from_url

from odeon_recorder.adapters import manifest
from odeon_recorder.domain.refusals import RecordingDamaged
from odeon_recorder.domain.snapshot import restore, take
from odeon_recorder.domain.timeline import Timeline
from odeon_recorder.ports import ArchiveAway, Key

TIMEOUT_S = 20.0
"""An object is a few megabytes at most; storage that takes longer is away."""
_MANIFEST = "manifest.json"
_T = TypeVar("_T")


def open_store(url: str) -> Any:
    """The store behind a URL; a directory is made."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return from_url(url)
    path = Path(unquote(parts.path))
    path.mkdir(parents=True, exist_ok=True)
    return LocalStore(prefix=path, automatic_cleanup=True)


class ObjectArchive:
    """Implements `ports.Archive`. Keys begin with `<tenant>/<event>/`."""

    def __init__(self, url: str) -> None:
        self._store = open_store(url)
        self._chapters: dict[Key, dict[str, list[str]]] = {}

    async def put(self, path: str, data: bytes) -> None:
        """Store an object."""
        await self._call(obstore.put_async(self._store, path, data))

    async def get(self, path: str, *, offset: int = 0, size: int = -1) -> bytes | None:
        """An object or a range of it."""
        try:
            if size >= 0:
                call = obstore.get_range_async(self._store, path, start=offset, length=size)
                return bytes(await self._call(call))
            result = await self._call(obstore.get_async(self._store, path))
            return bytes(await self._call(result.bytes_async()))
        except (NotFoundError, FileNotFoundError):
            return None

    async def put_manifest(self, timeline: Timeline) -> None:
        """Store full chapters that are not stored yet, then the manifest."""
        key = Key(timeline.tenant, timeline.event)
        state = take(timeline)
        chapters = await self._known_chapters(key)
        for name, track in state.tracks.items():
            done = chapters.setdefault(name, [])
            size = manifest.CHAPTER_SEGMENTS
            while len(track.archived) >= (len(done) + 1) * size:
                start = len(done) * size
                data = manifest.chapter(name, track.segments[start : start + size], track.archived)
                await self.put(f"{key}/{manifest.chapter_path(name, len(done))}", data)
                done.append(manifest.sha256(data))
        await self.put(f"{key}/{_MANIFEST}", manifest.manifest(timeline, state, chapters))

    async def get_timeline(self, key: Key) -> Timeline | None:
        """Rebuild a timeline from its manifest and chapters."""
        head = await self._head(key)
        if head is None:
            return None
        try:
            return await self._restored(key, head)
        except (ValueError, KeyError, TypeError) as error:
            raise RecordingDamaged(f"the manifest of {key} cannot be read") from error

    async def _restored(self, key: Key, head: dict[str, Any]) -> Timeline:
        segments: list[manifest.Located] = []
        for name, body in head["tracks"].items():
            for number, expected in enumerate(body["chapters"]):
                data = await self.get(f"{key}/{manifest.chapter_path(name, number)}")
                if data is None or manifest.sha256(data) != expected:
                    raise RecordingDamaged(f"chapter {number} of {key}/{name} is damaged")
                segments += manifest.read_chapter(data)
            segments += [manifest.segment_from_json(line) for line in body["segments"]]
        return restore(manifest.snapshot_from_json(head, segments))

    async def keys(self, tenant: str = "") -> list[Key]:
        """Timelines by their folders."""
        found: list[Key] = []
        tenants = [tenant] if tenant else await self._folders("")
        for each in tenants:
            found += [Key(each, event) for event in await self._folders(f"{each}/")]
        return sorted(found)

    async def delete(self, key: Key) -> None:
        """Delete the manifest first, so that nobody finds half a timeline."""
        self._chapters.pop(key, None)
        with suppress(NotFoundError, FileNotFoundError):
            await self._call(obstore.delete_async(self._store, f"{key}/{_MANIFEST}"))
        async for paths in self._listed(f"{key}/"):
            for path in paths:
                with suppress(NotFoundError, FileNotFoundError):
                    await self._call(obstore.delete_async(self._store, path))

    async def ended_ms(self, key: Key) -> int | None:
        """When a timeline ended, in Unix milliseconds."""
        head = await self._head(key)
        return head["ended_ms"] if head else None

    async def _folders(self, prefix: str) -> list[str]:
        listed = await self._call(obstore.list_with_delimiter_async(self._store, prefix or None))
        return [path.rstrip("/").rpartition("/")[2] for path in listed["common_prefixes"]]

    async def _listed(self, prefix: str) -> AsyncIterator[list[str]]:
        stream = obstore.list(self._store, prefix, chunk_size=500)
        while True:
            async with _reachable():
                try:
                    metas = await anext(stream)
                except StopAsyncIteration:
                    return
            yield [meta["path"] for meta in metas]

    async def _head(self, key: Key) -> dict[str, Any] | None:
        data = await self.get(f"{key}/{_MANIFEST}")
        if data is None:
            return None
        try:
            head: dict[str, Any] = json.loads(data)
        except ValueError as error:
            raise RecordingDamaged(f"the manifest of {key} cannot be read") from error
        return head

    async def _known_chapters(self, key: Key) -> dict[str, list[str]]:
        if key not in self._chapters:
            head = await self._head(key)
            tracks = head["tracks"] if head else {}
            self._chapters[key] = {name: body["chapters"] for name, body in tracks.items()}
        return self._chapters[key]

    async def _call(self, call: Awaitable[_T]) -> _T:
        async with _reachable():
            return await call


@asynccontextmanager
async def _reachable() -> AsyncIterator[None]:
    """Turns every failure but "not found" into ArchiveAway."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            yield
    except (NotFoundError, FileNotFoundError):
        raise
    except (BaseError, OSError, TimeoutError) as error:
        raise ArchiveAway(str(error) or type(error).__name__) from error
