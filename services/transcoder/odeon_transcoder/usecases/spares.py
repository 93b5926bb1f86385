"""Warm processes that wait for a job or for the death of one."""

import asyncio

from odeon_runtime.logs import logger

from odeon_transcoder.ports import JobProcess, JobProcesses, Unreachable

_log = logger(__name__)
_RETRY_S = 1.0


class Spares:
    """Keeps `count` processes warm. `refill` is an eternal task of the service."""

    def __init__(self, processes: JobProcesses, count: int) -> None:
        self._processes = processes
        self._count = count
        self._warm: list[JobProcess] = []
        self._wanted = asyncio.Event()
        self._wanted.set()

    @property
    def warm(self) -> int:
        """Processes that could take a job now."""
        return len(self._warm)

    async def take(self) -> JobProcess:
        """A warm process at once, or a fresh one when none is left. Raises Unreachable."""
        process = self._warm.pop() if self._warm else None
        self._wanted.set()
        return process if process is not None else await self._processes.start()

    async def refill(self) -> None:
        """Keep the number of warm processes; for ever."""
        while True:
            await self._wanted.wait()
            if len(self._warm) >= self._count:
                self._wanted.clear()
                continue
            try:
                self._warm.append(await self._processes.start())
            except Unreachable as error:
                _log.error("spare_did_not_start", error=str(error))
                await asyncio.sleep(_RETRY_S)

    async def close(self) -> None:
        """End what waits."""
        warm, self._warm = self._warm, []
        await asyncio.gather(*(process.kill() for process in warm))
