"""The two buckets as many pods of one process see them.

Each pod of its own would have a connection and a consumer; two thousand in one process share one
watch, and each is told what its own would tell it. Reads before claims go to NATS one by one.
"""

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing

from odeon.pools.v1 import pools_pb2
from odeon_runtime.kv import BucketUnknown, Mark
from odeon_runtime.pools import Drain, Drains, Reports


class SharedDrains:
    """One watch for all pods. Implements `pool_agent.DrainsSource`; `follow` is a task."""

    def __init__(self, drains: Drains) -> None:
        self._drains = drains
        self._latest: dict[str, Drain] = {}
        self._current = False
        self._watchers: dict[str, set[asyncio.Queue[Drain | Mark]]] = {}

    async def follow(self) -> None:
        """Hear all records, for ever."""
        async with aclosing(self._drains.watch()) as telling:
            async for told in telling:
                if isinstance(told, Drain):
                    self._latest[told.pod_uid] = told
                    self._tell(told.pod_uid, told)
                    continue
                self._current = told is Mark.CURRENT
                if not self._current:
                    self._latest.clear()
                for uid in self._watchers:
                    self._tell(uid, told)

    async def of(self, pod_uid: str) -> Drain | None:
        """What stands for a pod, by NATS. Raises BucketUnknown."""
        return await self._drains.of(pod_uid)

    async def watch(self, pod_uid: str) -> AsyncGenerator[Drain | Mark, None]:
        """What a watch of one pod's key tells."""
        queue = asyncio.Queue[Drain | Mark]()
        if (standing := self._latest.get(pod_uid)) is not None:
            queue.put_nowait(standing)
        if self._current:
            queue.put_nowait(Mark.CURRENT)
        mine = self._watchers.setdefault(pod_uid, set())
        mine.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            mine.discard(queue)
            if not mine:
                self._watchers.pop(pod_uid, None)

    def _tell(self, pod_uid: str, told: Drain | Mark) -> None:
        for queue in self._watchers.get(pod_uid, ()):
            queue.put_nowait(told)


class LossyReports:
    """Reports of which some are lost, and some are stored though nobody says so.

    Implements `pool_agent.ReportsSink`.

    Args:
        loss: share of reports that go wrong, half of them in either way.
    """

    def __init__(self, reports: Reports, *, loss: float, chance: random.Random) -> None:
        self._reports = reports
        self._loss = loss
        self._chance = chance

    async def put(self, report: pools_pb2.PodReport) -> None:
        """Store a report, or not. Raises BucketUnknown."""
        fate = self._chance.random()
        if fate < self._loss / 2:
            raise BucketUnknown("the report was lost")
        await self._reports.put(report)
        if fate < self._loss:
            raise BucketUnknown("the acknowledgement of the report was lost")
