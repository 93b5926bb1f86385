"""A disk that refuses writes: nothing is acknowledged, nothing is torn, and it heals."""

import errno
from pathlib import Path

import pytest
from odeon_recorder.adapters import journal
from odeon_recorder.adapters.disk import Disk
from odeon_recorder.adapters.spool import DiskSpool
from odeon_recorder.ports import Key
from odeon_recorder.usecases import archiving
from odeon_testkit.llhls_owner import audio, video

from .conftest import RecorderAt

INDEX = "/acme/launch/v720/index.m3u8"


class FullDisk(Disk):
    """Writes half of what it is given, then says that it is full."""

    full = False

    def _pwrite(self, fd: int, data: bytes, offset: int) -> None:
        if self.full:
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
