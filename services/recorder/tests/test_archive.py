"""Recordings leave the local disk and come back; object storage may be away for a while."""

import asyncio
import errno
import hashlib
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from odeon.recorder.v1 import recorder_pb2
from odeon_recorder.adapters import manifest as manifest_form
from odeon_recorder.adapters.disk import Disk
from odeon_recorder.usecases import archiving
from odeon_recorder.usecases import recorder as registry
from odeon_testkit.llhls import LiveChecker, errors
from odeon_testkit.llhls_owner import Owner, audio, video

from .conftest import RecorderAt, Running, eventually, info_of

INDEX = "/acme/launch/v720/index.m3u8"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "_PACE_S", 0.02)
    monkeypatch.setattr(archiving, "MANIFEST_EVERY_S", 0.1)
    monkeypatch.setattr(archiving, "CHECKPOINT_BYTES", 4000)
    monkeypatch.setattr(registry, "KEEPING_EVERY_S", 0.1)


def manifest(folder: Path) -> dict[str, Any] | None:
    path = folder / "recorder" / "archive" / "acme" / "launch" / "manifest.json"
    return json.loads(path.read_text()) if path.exists() else None


async def record(running: Running, segments: int) -> Owner:
    owner = running.owner()
    await owner.acquire([video(), audio()])
    for msn in range(segments):
        for part in range(6):
            for track in ("v720", "a128"):
                answer = await owner.put(track, msn, part, last=part == 5)
                assert answer.status_code == 201, answer.text
    return owner


async def test_an_ended_event_leaves_the_disk_and_plays_on_from_the_archive(
    tmp_path: Path, recorder_at: RecorderAt
) -> None:
    spool = tmp_path / "recorder" / "spool" / "acme" / "launch"
    async with recorder_at(tmp_path, spool_keep_s=0) as running:
        owner = await record(running, 5)
        await owner.end()
        before = (await running.http.get(INDEX)).text
        await eventually(lambda: not spool.exists())
        after = (await running.http.get(INDEX)).text
        segment = (await running.http.get("/acme/launch/v720/s3.m4s")).content
        part = (await running.http.get("/acme/launch/a128/p2.4.m4s")).content
        init = (await running.http.get("/acme/launch/v720/init-1.mp4")).content

    async with recorder_at(tmp_path) as running:
        again = (await running.http.get(INDEX)).text
        listed = await running.stub.ListTimelines(
            recorder_pb2.ListTimelinesRequest(), metadata=running.as_tenant()
        )

    assert before == after == again
    assert after.endswith("#EXT-X-ENDLIST\n")
    assert segment == b"".join(owner.stored[("v720", 3, p)] for p in range(6))
    assert part == owner.stored[("a128", 2, 4)]
    assert init == b"init v720 1"
    assert [t.name for t in listed.timelines] == ["timelines/launch"]


async def test_the_manifest_has_checksums_of_all_segments(
    tmp_path: Path, recorder_at: RecorderAt
) -> None:
    async with recorder_at(tmp_path) as running:
        owner = await record(running, 3)
        await owner.end()
        await eventually(lambda: (manifest(tmp_path) or {}).get("ended_ms") is not None)

    stored = manifest(tmp_path)
    assert stored is not None
    for name in ("v720", "a128"):
        for line in stored["tracks"][name]["segments"]:
            whole = b"".join(owner.stored[(name, line["msn"], p)] for p in range(6))
            assert line["sha256"] == hashlib.sha256(whole).hexdigest()
        assert len(stored["tracks"][name]["segments"]) == 3
        assert stored["tracks"][name]["gaps"] == []


async def test_while_object_storage_is_away_the_event_goes_on_and_catches_up(
    tmp_path: Path, recorder_at: RecorderAt
) -> None:
    archive, aside = tmp_path / "recorder" / "archive", tmp_path / "aside"
    async with recorder_at(tmp_path) as running:
        archive.rename(aside)
        archive.write_text("no directory any more")
        owner = await record(running, 3)
        assert (await running.http.get("/acme/launch/v720/s0.m4s")).status_code == 200
        assert manifest(tmp_path / "nowhere") is None

        archive.unlink()
        aside.rename(archive)
        await owner.end()
        await eventually(lambda: (manifest(tmp_path) or {}).get("ended_ms") is not None)


async def test_a_restart_goes_on_from_a_checkpoint_with_the_same_playlist(
    tmp_path: Path, recorder_at: RecorderAt
) -> None:
    spool = tmp_path / "recorder" / "spool" / "acme" / "launch"
    checker = LiveChecker()
    async with recorder_at(tmp_path) as running:
        owner = await record(running, 12)
        await owner.put("v720", 12, 0)
        await owner.put("v720", 12, 1)
        await eventually(lambda: (spool / "index.log").exists())
        before = (await running.http.get(INDEX)).text
        checker.feed(200, before)

    async with recorder_at(tmp_path) as running:
        after = (await running.http.get(INDEX)).text
        checker.feed(200, after)
        owner.http, owner.stub = running.http, running.stub
        assert (await owner.put("v720", 12, 1)).status_code == 200
        assert (await owner.put("v720", 12, 2)).status_code == 201
        checker.feed(200, (await running.http.get(INDEX)).text)

    assert before == after
    assert errors(checker.findings) == []


async def test_a_live_event_moves_to_a_recorder_with_an_empty_disk(
    tmp_path: Path, recorder_at: RecorderAt
) -> None:
    shared = (tmp_path / "shared").as_uri()
    manifest_path = tmp_path / "shared" / "acme" / "launch" / "manifest.json"

    def archived() -> bool:
        if not manifest_path.exists():
            return False
        tracks = json.loads(manifest_path.read_text())["tracks"]
        return all(len(track["segments"]) == 4 for track in tracks.values())

    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(recorder_at(tmp_path / "one", archive_url=shared))
        owner = await record(one, 4)
        await owner.put("v720", 4, 0)
        await eventually(archived)

        two = await stack.enter_async_context(recorder_at(tmp_path / "two", archive_url=shared))
        successor = two.owner()
        await successor.acquire([video(), audio()])
        assert (successor.epoch, successor.next_msn) == (2, 4)
        assert (await successor.put("v720", 4, 0)).status_code == 201
        text = (await two.http.get(f"{INDEX}?_HLS_msn=4&_HLS_part=0")).text
        old = (await two.http.get("/acme/launch/v720/s2.m4s")).content

    assert "s3.m4s\n#EXT-X-DISCONTINUITY" in text
    assert old == b"".join(owner.stored[("v720", 2, p)] for p in range(6))


async def test_a_deleted_timeline_is_gone_everywhere(
    tmp_path: Path, recorder_at: RecorderAt
) -> None:
    request = recorder_pb2.DeleteTimelineRequest(name="timelines/launch")
    async with recorder_at(tmp_path) as running:
        owner = await record(running, 2)
        with pytest.raises(grpc.aio.AioRpcError) as live:
            await running.stub.DeleteTimeline(request, metadata=running.as_tenant())
        await owner.end()
        with pytest.raises(grpc.aio.AioRpcError) as foreign:
            await running.stub.DeleteTimeline(request, metadata=running.as_tenant("other"))
        await running.stub.DeleteTimeline(request, metadata=running.as_tenant())
        gone = await running.http.get(INDEX)

    assert info_of(live.value).reason == "TIMELINE_LIVE"
    assert info_of(foreign.value).reason == "TIMELINE_NOT_FOUND"
    assert gone.status_code == 404
    assert not list((tmp_path / "recorder").rglob("*.m4s"))


async def test_expired_recordings_are_deleted(
    tmp_path: Path, recorder_at: RecorderAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "RETENTION_EVERY_S", 0.1)
    async with recorder_at(tmp_path, retention_days=1e-7) as running:
        owner = await record(running, 1)
        await owner.end()
        await eventually(lambda: not (tmp_path / "recorder" / "archive" / "acme").exists())
        await eventually(lambda: manifest(tmp_path) is None)
        assert (await running.http.get(INDEX)).status_code == 404


async def test_a_full_disk_refuses_new_timelines_first(
    tmp_path: Path, recorder_at: RecorderAt
) -> None:
    async with recorder_at(tmp_path) as running:
        owner = await record(running, 1)
    async with recorder_at(tmp_path, min_free_bytes=2**62) as running:
        owner.http, owner.stub = running.http, running.stub
        newcomer = running.owner(event="second")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await newcomer.acquire([video()])

        assert info_of(refused.value).reason == "DISK_FULL"
        assert (await owner.put("v720", 1, 0)).status_code == 201


@pytest.mark.parametrize(
    "manifest_text", ["no JSON", '{"version": 1}', '{"ended_ms": "yesterday"}']
)
async def test_an_unreadable_manifest_keeps_no_other_recording_from_expiring(
    tmp_path: Path, recorder_at: RecorderAt, monkeypatch: pytest.MonkeyPatch, manifest_text: str
) -> None:
    monkeypatch.setattr(registry, "RETENTION_EVERY_S", 0.1)
    # Its name comes before the other's, so that it is looked at first.
    damaged = tmp_path / "recorder" / "archive" / "acme" / "damaged"
    damaged.mkdir(parents=True)
    (damaged / "manifest.json").write_text(manifest_text)
    async with recorder_at(tmp_path, retention_days=1e-7) as running:
        owner = await record(running, 1)
        await owner.end()
        await eventually(lambda: not (damaged.parent / "launch").exists())
        # And the next event is looked after just the same.
        second = running.owner(event="second")
        await second.acquire([video()])
        await second.put_segment("v720", 0)
        await second.end()
        await eventually(lambda: not (damaged.parent / "second").exists())

    assert (damaged / "manifest.json").read_text() == manifest_text


async def test_a_recorder_that_cannot_look_after_its_disk_does_not_look_alive(
    tmp_path: Path, recorder_at: RecorderAt
) -> None:
    class LostDisk(Disk):
        def free_bytes(self, path: Path) -> int:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(ExceptionGroup):
        async with asyncio.timeout(20), recorder_at(tmp_path, disk=LostDisk()):
            await asyncio.Event().wait()


async def test_the_manifest_lists_what_is_missing(tmp_path: Path, recorder_at: RecorderAt) -> None:
    async with recorder_at(tmp_path) as running:
        owner = running.owner()
        await owner.acquire([video(), audio()])
        await owner.put_segment("a128", 0)
        for msn in range(2):
            await owner.put_segment("v720", msn)
        await owner.end()
        await eventually(lambda: (manifest(tmp_path) or {}).get("ended_ms") is not None)

    stored = manifest(tmp_path)
    assert stored is not None
    ((start_ns, duration_ns, first_msn, why),) = stored["tracks"]["a128"]["gaps"]
    assert stored["tracks"]["v720"]["gaps"] == []
    # The test's owner says a third of a second for parts of either track.
    assert (start_ns, duration_ns) == (6 * 333_333_333, 6 * 333_333_333)
    assert (first_msn, why) == (1, "LOST")


async def test_time_shift_goes_back_to_segments_that_have_left_the_disk(
    tmp_path: Path, recorder_at: RecorderAt
) -> None:
    media = tmp_path / "recorder" / "spool" / "acme" / "launch" / "v720"
    async with recorder_at(tmp_path, spool_keep_s=0) as running:
        owner = await record(running, 12)
        await owner.put("v720", 12, 0)
        await eventually(lambda: not (media / "s0.m4s").exists())
        live = (await running.http.get(INDEX)).text
        segment = (await running.http.get("/acme/launch/v720/s0.m4s")).content
        part = (await running.http.get("/acme/launch/v720/p0.3.m4s")).content

    assert "#EXT-X-ENDLIST" not in live
    assert "s0.m4s" in live
    assert segment == b"".join(owner.stored[("v720", 0, p)] for p in range(6))
    assert part == owner.stored[("v720", 0, 3)]


async def test_a_recording_of_many_chapters_is_found_whole_by_another_recorder(
    tmp_path: Path, recorder_at: RecorderAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_form, "CHAPTER_SEGMENTS", 2)
    shared = (tmp_path / "shared").as_uri()
    folder = tmp_path / "shared" / "acme" / "launch"
    async with recorder_at(tmp_path / "one", archive_url=shared) as running:
        await (await record(running, 5)).end()
        await eventually(lambda: _ended(folder))
        before = (await running.http.get(INDEX)).text

    async with recorder_at(tmp_path / "two", archive_url=shared) as running:
        after = (await running.http.get(INDEX)).text

    stored = json.loads((folder / "manifest.json").read_text())["tracks"]
    assert {len(track["chapters"]) for track in stored.values()} == {2}
    assert {len(track["segments"]) for track in stored.values()} == {1}
    assert before == after


async def test_a_damaged_chapter_is_refused_and_other_recordings_play(
    tmp_path: Path, recorder_at: RecorderAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_form, "CHAPTER_SEGMENTS", 2)
    shared = (tmp_path / "shared").as_uri()
    folder = tmp_path / "shared" / "acme" / "launch"
    async with recorder_at(tmp_path / "one", archive_url=shared) as running:
        await (await record(running, 3)).end()
        await eventually(lambda: _ended(folder))
        other = running.owner(event="second")
        await other.acquire([video()])
        await other.put_segment("v720", 0)
        await other.end()
        await eventually(lambda: _ended(folder.parent / "second"))
    chapter = folder / "v720" / "chapter-0.log"
    chapter.write_bytes(chapter.read_bytes().replace(b'"duration_ns":', b'"duration_ns":1', 1))

    async with recorder_at(tmp_path / "two", archive_url=shared) as running:
        damaged = await running.http.get(INDEX)
        intact = await running.http.get("/acme/second/v720/index.m3u8")

    assert (damaged.status_code, damaged.json()["reason"]) == (503, "RECORDING_DAMAGED")
    assert intact.status_code == 200


def _ended(folder: Path) -> bool:
    path = folder / "manifest.json"
    return path.exists() and json.loads(path.read_text())["ended_ms"] is not None
