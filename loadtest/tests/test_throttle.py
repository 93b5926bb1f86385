"""The quota holds a real busy process, by whichever means."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from odeon_loadtest.cpu import cpu_seconds
from odeon_loadtest.throttle import cpu_quota

_SHARE = 0.2


@pytest.fixture
def busy() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield process.pid
    process.kill()
    process.wait()


async def share_of(pid: int, seconds: float = 1.5) -> float:
    begun, used = time.monotonic(), cpu_seconds(pid)
    await asyncio.sleep(seconds)
    return (cpu_seconds(pid) - used) / (time.monotonic() - begun)


@pytest.mark.parametrize("groups", [True, False], ids=["best-means", "by-signals"])
async def test_a_busy_process_gets_no_more_than_its_quota(busy: int, groups: bool) -> None:
    async with cpu_quota(busy, _SHARE, groups=groups):
        held = await share_of(busy)

    # One period may have begun before, and one look of 5 ms may come late.
    assert held <= _SHARE * 1.5


async def test_a_process_that_ends_under_its_quota_leaves_no_group_behind(busy: int) -> None:
    async with cpu_quota(busy, _SHARE) as means:
        os.kill(busy, signal.SIGKILL)

    async with cpu_quota(busy, _SHARE) as again:
        pass
    assert again == means
