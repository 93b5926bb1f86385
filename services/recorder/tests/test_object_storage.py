"""What the recorder needs of object storage, from a directory and from a real S3 server."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from odeon_recorder.adapters import archive as archive_module
from odeon_recorder.adapters.archive import ObjectArchive
from odeon_recorder.domain.records import Ended, Granted, Kind, TrackSpec
from odeon_recorder.domain.timeline import Timeline
from odeon_recorder.ports import ArchiveAway, Key
from odeon_testkit.go_programs import GoMissing
from odeon_testkit.llhls_owner import video
from odeon_testkit.s3 import S3Server, s3_server
from odeon_testkit.wait import until

from .conftest import RecorderAt

V720 = TrackSpec("v720", Kind.VIDEO, "avc1.64001f", 3_000_000, 1280, 720, 30.0, 334_000_000, 2)


@dataclass(frozen=True)
class Storage:
    """Somewhere to keep objects."""

    url: str
    take_away: Callable[[], None]
    bring_back: Callable[[], None]


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    try:
        with s3_server() as server:
            yield server
    except GoMissing as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


@pytest.fixture(params=["directory", "s3"])
def storage(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Storage:
    if request.param == "s3":
        server: S3Server = request.getfixturevalue("s3")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        # A folder of its own for each test, as several deployments share a bucket.
        return Storage(f"{server.url}/{tmp_path.name}", server.stop, server.start)
    folder, aside = tmp_path / "objects", tmp_path / "aside"

    def take_away() -> None:
        folder.rename(aside)
        folder.write_text("no directory any more")

    def bring_back() -> None:
        folder.unlink()
        aside.rename(folder)

    return Storage(folder.as_uri(), take_away, bring_back)


@pytest.fixture
async def archive(storage: Storage) -> AsyncIterator[ObjectArchive]:
    yield ObjectArchive(storage.url)


def timeline(key: Key) -> Timeline:
    made = Timeline(key.tenant, key.event)
    made.apply(Granted(1, "worker-1", 1_700_000_000_000, next_msn=0, start_ns=0, tracks=(V720,)))
    made.apply(Ended(1_700_000_009_000))
    return made


async def test_an_object_comes_back_whole_and_in_ranges(archive: ObjectArchive) -> None:
    await archive.put("acme/launch/v720/s0.m4s", b"0123456789")

    assert await archive.get("acme/launch/v720/s0.m4s") == b"0123456789"
    assert await archive.get("acme/launch/v720/s0.m4s", offset=3, size=4) == b"3456"


async def test_an_object_written_again_is_the_new_one(archive: ObjectArchive) -> None:
    await archive.put("acme/launch/v720/s0.m4s", b"old, and longer")
    await archive.put("acme/launch/v720/s0.m4s", b"new")

    assert await archive.get("acme/launch/v720/s0.m4s") == b"new"


async def test_what_was_never_stored_is_not_there(archive: ObjectArchive) -> None:
    assert await archive.get("acme/launch/v720/s0.m4s") is None
    assert await archive.get("acme/launch/v720/s0.m4s", offset=3, size=4) is None
    assert await archive.get_timeline(Key("acme", "launch")) is None
    assert await archive.ended_ms(Key("acme", "launch")) is None
    assert await archive.keys() == []


async def test_a_timeline_comes_back_from_its_manifest(archive: ObjectArchive) -> None:
    key = Key("acme", "launch")
    await archive.put_manifest(timeline(key))

    found = await archive.get_timeline(key)

    assert found is not None
    assert (found.epoch, found.ended_ms) == (1, 1_700_000_009_000)
    assert found.tracks["v720"].spec == V720
    assert await archive.ended_ms(key) == 1_700_000_009_000


async def test_timelines_are_listed_by_tenant_and_in_all(archive: ObjectArchive) -> None:
    keys = [Key("acme", "a"), Key("acme", "b"), Key("acme-2", "c")]
    for key in reversed(keys):
        await archive.put_manifest(timeline(key))

    assert await archive.keys() == keys
    assert await archive.keys("acme") == keys[:2]
    assert await archive.keys("nobody") == []


async def test_a_deleted_timeline_leaves_nothing_and_its_neighbours_alone(
    archive: ObjectArchive,
) -> None:
    key, neighbour = Key("acme", "launch"), Key("acme", "launch-2")
    for each in (key, neighbour):
        await archive.put_manifest(timeline(each))
        for msn in range(12):
            await archive.put(f"{each}/v720/s{msn}.m4s", b"x")

    await archive.delete(key)
    await archive.delete(key)

    assert await archive.keys("acme") == [neighbour]
    assert await archive.get(f"{key}/v720/s11.m4s") is None
    assert await archive.get(f"{neighbour}/v720/s11.m4s") == b"x"


async def test_storage_that_does_not_answer_is_away_and_not_empty(
    archive: ObjectArchive, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await archive.put("acme/launch/v720/s0.m4s", b"kept")
    storage.take_away()
    with monkeypatch.context() as patch:
        patch.setattr(archive_module, "TIMEOUT_S", 1.0)
        try:
            with pytest.raises(ArchiveAway):
                await archive.put("acme/launch/v720/s1.m4s", b"x")
            with pytest.raises(ArchiveAway):
                await archive.get("acme/launch/v720/s0.m4s")
            with pytest.raises(ArchiveAway):
                await archive.keys("acme")
        finally:
            storage.bring_back()

    assert await archive.get("acme/launch/v720/s0.m4s") == b"kept"


async def test_an_ended_event_plays_on_at_another_recorder(
    tmp_path: Path, recorder_at: RecorderAt, storage: Storage
) -> None:
    archive = ObjectArchive(storage.url)

    async def is_archived() -> bool:
        return await archive.ended_ms(Key("acme", "launch")) is not None

    async with recorder_at(tmp_path / "one", archive_url=storage.url) as running:
        owner = running.owner()
        await owner.acquire([video()])
        for msn in range(2):
            await owner.put_segment("v720", msn)
        await owner.end()
        before = (await running.http.get("/acme/launch/v720/index.m3u8")).text
        await until(is_archived, timeout_s=20)

    async with recorder_at(tmp_path / "two", archive_url=storage.url) as running:
        after = (await running.http.get("/acme/launch/v720/index.m3u8")).text
        part = (await running.http.get("/acme/launch/v720/p1.2.m4s")).content

    assert before == after
    assert part == owner.stored[("v720", 1, 2)]
