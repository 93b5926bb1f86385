"""Forks recorders that kill themselves at a given disk step; one import serves all of them.

Reads one JSON order per line, {"data_dir": …, "crash_at": n, "torn": bool}, kills the recorder
before, and answers with the ready line of the new one (or null when it died before it was ready).
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import uvloop
from odeon_recorder.__main__ import start
from odeon_recorder.adapters.disk import Disk
from odeon_recorder.settings import RecorderSettings
from odeon_recorder.usecases import archiving

archiving.CHECKPOINT_BYTES = 3000
archiving._PACE_S = 0.02


class CrashingDisk(Disk):
    """Kills its process with SIGKILL between two steps, or in the middle of a write."""

    def __init__(self, crash_at: int, *, torn: bool) -> None:
        self._left = crash_at
        self._torn = torn

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def _pwrite(self, fd: int, data: bytes, offset: int) -> None:
        if self._torn and self._left == 1:
            os.pwrite(fd, data[: len(data) // 2], offset)
        self._step()
        super()._pwrite(fd, data, offset)

    def _sync(self, fd: int) -> None:
        self._step()
        super()._sync(fd)

    def _sync_folder(self, folder: Path) -> None:
        self._step()
        super()._sync_folder(folder)

    def _rename(self, old: Path, new: Path) -> None:
        self._step()
        super()._rename(old, new)


async def serve(order: dict[str, Any], ready: int) -> None:
    disk = CrashingDisk(order["crash_at"], torn=order["torn"])
    async with start(RecorderSettings(data_dir=Path(order["data_dir"])), disk) as addresses:
        os.write(ready, json.dumps(addresses).encode() + b"\n")
        os.close(ready)
        import asyncio

        await asyncio.Event().wait()


def main() -> None:
    running = 0
    for line in sys.stdin:
        if running:
            os.kill(running, signal.SIGKILL)
            os.waitpid(running, 0)
        reading, writing = os.pipe()
        running = os.fork()
        if running == 0:
            os.close(reading)
            os.dup2(2, 1)  # logs must not mix with answers
            uvloop.run(serve(json.loads(line), writing))
        os.close(writing)
        with os.fdopen(reading) as pipe:
            answer = pipe.readline().strip() or "null"
        print(answer, flush=True)
    if running:
        os.kill(running, signal.SIGKILL)
        os.waitpid(running, 0)


main()
