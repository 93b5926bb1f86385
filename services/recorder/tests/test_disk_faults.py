"""A disk that refuses writes: nothing is acknowledged, nothing is torn, and it heals."""

import asyncio
import errno
import json
import threading
from pathlib import Path

import pytest
from odeon_recorder.adapters import journal
from odeon_recorder.adapters.disk import Disk
from odeon_recorder.adapters.spool import DiskSpool
from odeon_recorder.domain.records import Granted, Kind, TrackSpec
from odeon_recorder.domain.refusals import SpoolFailed
from odeon_recorder.domain.timeline import Timeline
from odeon_recorder.ports import Entry, Key
from odeon_recorder.usecases import archiving
from odeon_recorder.usecases import recorder as registry
from odeon_testkit.llhls_owner import audio, video

from .conftest import RecorderAt, eventually

INDEX = "/acme/launch/v720/index.m3u8"


class FullDisk(Disk):
    """Writes half of what it is given, then says that it is full."""

    full = False
    refusals = 0

    def free_bytes(self, path: Path) -> int:
        return 0 if self.full else super().free_bytes(path)

    def _pwrite(self, fd: int, data: bytes, offset: int) -> None:
        if self.full:
            self.refusals += 1
            super()._pwrite(fd, data[: len(data) // 2], offset)
            raise OSError(errno.ENOSPC, "No space left on device")
        super()._pwrite(fd, data, offset)


async def test_a_part_that_the_disk_refused_can_be_sent_again(
    recorder_at: RecorderAt, tmp_path: Path
) -> None:
    disk = FullDisk()
    async with recorder_at(tmp_path, disk=disk) as running:
        owner = running.owner()
        await owner.acquire([video(), audio()])
        await owner.put_segment("v720", 0)
        before = (await running.http.get(INDEX)).text

        disk.full = True
        refused = await owner.put("v720", 1, 0)
        still = (await running.http.get(INDEX)).text
        disk.full = False
        again = await owner.put("v720", 1, 0)
        after = (await running.http.get(f"{INDEX}?_HLS_msn=1&_HLS_part=0")).text

    async with recorder_at(tmp_path) as running:
        recovered = (await running.http.get(INDEX)).text
        part = (await running.http.get("/acme/launch/v720/p1.0.m4s")).content

    assert (refused.status_code, refused.json()["reason"]) == (503, "SPOOL_FAILED")
    assert still == before
    assert again.status_code == 201
    assert recovered == after
    assert part == owner.stored[("v720", 1, 0)]


@pytest.mark.parametrize("damage", ["torn line", "flipped bit", "missing media", "short media"])
async def test_recovery_cuts_the_log_at_the_first_damage(
    recorder_at: RecorderAt, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The part must be the log's last fact, so nothing is archived meanwhile.
    monkeypatch.setattr(archiving, "_PACE_S", 600.0)
    async with recorder_at(tmp_path) as running:
        owner = running.owner()
        await owner.acquire([video()])
        await owner.put_segment("v720", 0)
        await owner.put("v720", 1, 0)
    folder = tmp_path / "recorder" / "spool" / "acme" / "launch"
    log, media = folder / "journal.log", folder / "v720" / "s1.m4s"
    written = log.read_bytes()
    facts = list(journal.decode(written))
    last_start = facts[-2][1]
    match damage:
        case "torn line":
            log.write_bytes(written[: last_start + 30])
        case "flipped bit":
            log.write_bytes(written[: last_start + 40] + b"X" + written[last_start + 41 :])
        case "missing media":
            media.unlink()
        case "short media":
            media.write_bytes(media.read_bytes()[:10])

    opened = await DiskSpool(tmp_path / "recorder" / "spool").open(Key("acme", "launch"))

    assert opened is not None
    timeline = opened[1]
    assert timeline.tracks["v720"].next_part == (1, 0)
    assert log.stat().st_size == last_start


@pytest.fixture
def restless_archivist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds follow each other closely, each with a checkpoint."""
    monkeypatch.setattr(archiving, "_PACE_S", 0.02)
    monkeypatch.setattr(archiving, "_LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(archiving, "MANIFEST_EVERY_S", 0.1)
    monkeypatch.setattr(archiving, "CHECKPOINT_BYTES", -1)
    monkeypatch.setattr(registry, "KEEPING_EVERY_S", 0.1)


def archived(folder: Path) -> list[int]:
    """Segments in the manifest."""
    path = folder / "recorder" / "archive" / "acme" / "launch" / "manifest.json"
    if not path.exists():
        return []
    return [line["msn"] for line in json.loads(path.read_text())["tracks"]["v720"]["segments"]]


@pytest.mark.usefixtures("restless_archivist")
async def test_archives_go_on_after_a_full_disk(recorder_at: RecorderAt, tmp_path: Path) -> None:
    disk = FullDisk()
    async with recorder_at(tmp_path, disk=disk) as running:
        owner = running.owner()
        await owner.acquire([video()])
        await owner.put_segment("v720", 0)
        disk.full = True
        # The second refusal proves that the first one did not end the archivist.
        await eventually(lambda: disk.refusals >= 2)
        disk.full = False
        await owner.put_segment("v720", 1)

        await eventually(lambda: archived(tmp_path) == [0, 1])


@pytest.mark.usefixtures("restless_archivist")
async def test_archived_segments_leave_a_disk_that_takes_no_more_writes(
    recorder_at: RecorderAt, tmp_path: Path
) -> None:
    disk = FullDisk()
    media = tmp_path / "recorder" / "spool" / "acme" / "launch" / "v720"
    async with recorder_at(tmp_path, disk=disk) as running:
        owner = running.owner()
        await owner.acquire([video()])
        for msn in range(3):
            await owner.put_segment("v720", msn)
        await eventually(lambda: archived(tmp_path) == [0, 1, 2])
        assert len(list(media.glob("s*.m4s"))) == 3

        disk.full = True

        await eventually(lambda: [path.name for path in media.glob("s*.m4s")] == ["s2.m4s"])


async def test_no_fact_joins_a_checkpoint_that_a_power_cut_may_undo(tmp_path: Path) -> None:
    class Unsettled(Disk):
        broken = False

        def _rename(self, old: Path, new: Path) -> None:
            super()._rename(old, new)
            self.broken = True

        def _sync_folder(self, folder: Path) -> None:
            if self.broken:
                raise OSError(errno.EIO, "Input/output error")
            super()._sync_folder(folder)

    key, disk = Key("acme", "launch"), Unsettled()
    v720 = TrackSpec("v720", Kind.VIDEO, "avc1.64001f", 3_000_000, 1280, 720, 30.0, 334_000_000, 2)
    log = await DiskSpool(tmp_path, disk).create(key)
    timeline = Timeline("acme", "launch")

    async def grant() -> None:
        fact = Granted(timeline.epoch + 1, "worker-1", 0, next_msn=0, start_ns=0, tracks=(v720,))
        await log.commit([Entry(fact)])
        timeline.apply(fact)

    await grant()
    with pytest.raises(SpoolFailed):
        await log.checkpoint(timeline)
    with pytest.raises(SpoolFailed):
        await grant()
    disk.broken = False
    await grant()

    opened = await DiskSpool(tmp_path).open(key)
    assert opened is not None
    assert opened[1].epoch == 2


class HeldDisk(Disk):
    """Its syncs wait until they are let go."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.held = 0

    def _sync(self, fd: int) -> None:
        if not self.free.is_set():
            self.held += 1
            assert self.free.wait(30)
        super()._sync(fd)


async def test_nobody_hears_of_a_part_before_it_is_on_the_disk(
    recorder_at: RecorderAt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing else than the part is to be written meanwhile.
    monkeypatch.setattr(archiving, "_PACE_S", 600.0)
    disk = HeldDisk()
    async with recorder_at(tmp_path, disk=disk) as running:
        owner = running.owner()
        await owner.acquire([video()])
        await owner.put_segment("v720", 0)
        before = (await running.http.get(INDEX)).text

        disk.free.clear()
        storing = asyncio.create_task(owner.put("v720", 1, 0))
        waiting = asyncio.create_task(running.http.get(f"{INDEX}?_HLS_msn=1&_HLS_part=0"))
        hinted = asyncio.create_task(running.http.get("/acme/launch/v720/p1.0.m4s"))
        await eventually(lambda: disk.held >= 2)  # the media and the journal
        meanwhile = (await running.http.get(INDEX)).text
        early = [task.done() for task in (storing, waiting, hinted)]
        disk.free.set()

        assert (await storing).status_code == 201
        assert "p1.0.m4s" in (await waiting).text
        assert (await hinted).content == owner.stored[("v720", 1, 0)]

    assert meanwhile == before
    assert early == [False, False, False]
