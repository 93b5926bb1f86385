"""Warm processes that wait for a job or for the death of one."""

import asyncio
from collections import deque

from odeon_runtime.logs import logger

from odeon_transcoder.ports import JobProcess, JobProcesses, Unreachable

_log = logger(__name__)
_RETRY_S = 1.0


class Spares:
    """Keeps `count` processes warm. `refill` is an eternal task of the service.

    All processes are started there, one after the other: two that load their libraries at once on a
    busy machine are both late.
    """

    def __init__(self, processes: JobProcesses, count: int) -> None:
        self._processes = processes
        self._count = count
        self._warm: deque[JobProcess] = deque()
        self._takers = 0
        self._changed = asyncio.Condition()

    @property
    def warm(self) -> int:
        """Processes that could take a job now."""
        return sum(process.alive for process in self._warm)

    async def take(self) -> JobProcess:
        """A warm process, at once if there is one."""
        async with self._changed:
            self._takers += 1
            self._changed.notify_all()
            try:
                await self._changed.wait_for(lambda: self.warm)
                process = next(process for process in self._warm if process.alive)
                self._warm.remove(process)
            finally:
                self._takers -= 1
            self._changed.notify_all()
            return process

    async def refill(self) -> None:
        """Keep the number of warm processes; for ever."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self.warm < self._count + self._takers)
                self._warm = deque(process for process in self._warm if process.alive)
            try:
                process = await self._processes.start()
            except Unreachable as error:
                _log.error("process_did_not_start", error=str(error))
                await asyncio.sleep(_RETRY_S)
                continue
            async with self._changed:
                self._warm.append(process)
                self._changed.notify_all()

    async def close(self) -> None:
        """End what waits."""
        warm, self._warm = self._warm, deque()
        await asyncio.gather(*(process.kill() for process in warm))
