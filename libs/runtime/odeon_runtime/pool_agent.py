"""The pod's side of a drain: it reports its load and takes no new work while a record forbids it.

```
 record heard ─► closed: the pull for work is put back, claims on their way are waited for
                   └─► nobody inside, nothing promised ─► reports name the drain that they obey
 record withdrawn ─► a report that obeys none is stored ─► new work again
```
What holds, whatever the order of events: a claim begins only after the record was read, found
absent, and while the last report that may be stored says that this run of the process takes work.
So nobody who reads an acknowledgement in the reports finds a claim that came after it and before
its retraction. Work of an earlier run (the job that a restarted process resumes) is not new; it
counts as promised, and no drain is acknowledged before it is settled.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    aclosing,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from odeon.pools.v1 import pools_pb2
from prometheus_client import Gauge

from odeon_runtime.bus import Bus
from odeon_runtime.kv import BucketUnknown, Mark
from odeon_runtime.logs import logger
from odeon_runtime.pools import Drain, Drains, Reports
from odeon_runtime.settings import ServiceSettings
from odeon_runtime.tasks import EternalTasks

T = TypeVar("T")
REPORT_EVERY_S = 2.0
"""A seventh of the time after which a report is gone."""
_LEAST_PAUSE_S = 0.05
"""Changes that come together make one report."""
_TROUBLES = {
    "watch": ("pool_drain_unknown", "running work goes on, new work is not taken"),
    "read": ("pool_drain_unreadable_at_claim", "this work is left to others, running work goes on"),
    "report": ("pool_report_failed", "the operator keeps this pod and counts it as unknown"),
}
_log = logger(__name__)

DRAINING = Gauge("odeon_pool_draining", "1 while a drain record forbids new work")
DRAIN_KNOWN = Gauge("odeon_pool_drain_known", "1 while this pod knows whether it is to drain")


@dataclass(frozen=True, slots=True)
class Member:
    """Which pod of which pool this process is."""

    pool: str
    pod: str
    pod_uid: str

    @classmethod
    def of(cls, settings: ServiceSettings) -> Self | None:
        """As the environment says; None outside of a pool."""
        if not settings.pool:
            return None
        return cls(settings.pool, settings.pod_name, settings.pod_uid)


@dataclass(frozen=True, slots=True)
class Load:
    """What a pod does now; the fields are those of `PodReport`."""

    sessions: int = 0
    reserved: int = 0
    slots_used: float = 0.0
    slots_total: float = 0.0
    viewers: int = 0
    egress_bps: int = 0
    ready: bool = True


class ReportsSink(Protocol):
    """Where reports go; `pools.Reports`."""

    async def put(self, report: pools_pb2.PodReport) -> None:
        """Store a report. Raises BucketUnknown."""


class DrainsSource(Protocol):
    """Where drain records are; `pools.Drains`."""

    async def of(self, pod_uid: str) -> Drain | None:
        """What stands for a pod. Raises BucketUnknown."""

    def watch(self, pod_uid: str) -> AsyncGenerator[Drain | Mark, None]:
        """What stands and every change, with marks."""


class Intake(Protocol):
    """Where a service asks whether new work may come in."""

    @property
    def closed(self) -> bool:
        """No new work, as far as is known."""

    @property
    def hands_over(self) -> bool:
        """Running work is to be given to others, too."""

    def when_changed(self, call: Callable[[], None]) -> None:
        """Call whenever `closed` or `hands_over` may have changed."""

    def load_changed(self) -> None:
        """The service's load is another one."""

    async def pull(
        self, take: Callable[[], Awaitable[T | None]], put_back: Callable[[], Awaitable[None]]
    ) -> T | None:
        """Wait for an offer; given up, and what was asked for put back, when the intake closes."""

    def claiming(self) -> AbstractAsyncContextManager[bool]:
        """Whether new work may be claimed; to be held until the claim is answered."""


class OpenIntake:
    """The intake of a process that belongs to no pool. Implements `Intake`."""

    closed = False
    hands_over = False

    def when_changed(self, call: Callable[[], None]) -> None:
        """Nothing ever changes."""

    def load_changed(self) -> None:
        """Nobody wants to know."""

    async def pull(
        self, take: Callable[[], Awaitable[T | None]], put_back: Callable[[], Awaitable[None]]
    ) -> T | None:
        """Wait for an offer."""
        return await take()

    @asynccontextmanager
    async def claiming(self) -> AsyncIterator[bool]:
        """Always."""
        yield True


class PoolAgent:
    """Reports, and obeys drains. Implements `Intake`; `run` is a task of the service.

    Args:
        member: who this is.
        reports: where reports go.
        drains: where the drain record is.
        load: what the service does now; asked for with every report. A drain is acknowledged only
            while it promises nothing (`reserved` is 0).
    """

    def __init__(
        self,
        member: Member,
        *,
        reports: ReportsSink,
        drains: DrainsSource,
        load: Callable[[], Load],
    ) -> None:
        self.member = member
        self.run_id = secrets.token_hex(8)
        self._reports = reports
        self._drains = drains
        self._load = load
        self._known = False
        self._record: pools_pb2.DrainRecord | None = None
        self._inside = 0
        self._pull: asyncio.Timeout | None = None
        self._says_open = False
        """The last report that may be stored is stored, of this run, and obeys no drain."""
        self._unsaid = 0
        """Reports since the last one that was stored."""
        self._acknowledged: Timestamp | None = None
        self._changed = asyncio.Event()
        self._listeners: list[Callable[[], None]] = []
        self._trouble = dict.fromkeys(_TROUBLES, False)

    @classmethod
    def on(cls, bus: Bus, member: Member, load: Callable[[], Load]) -> Self:
        """An agent that speaks through a bus."""
        return cls(member, reports=Reports(bus), drains=Drains(bus), load=load)

    @property
    def closed(self) -> bool:
        """No new work: a drain record stands, or it is not known whether one does.

        Nor before a report of this run is stored, and after a drain one that retracts it.
        """
        return not self._known or self._record is not None or not self._says_open

    @property
    def asked(self) -> bool:
        """A drain record stands, as far as is known; for one that stays as it is while it is not.

        Changes are told by `when_changed`, too.
        """
        return self._record is not None

    @property
    def hands_over(self) -> bool:
        """Running work is to be given to others, too."""
        return self._record is not None and self._record.hand_over

    def when_changed(self, call: Callable[[], None]) -> None:
        """Call whenever `closed`, `asked` or `hands_over` may have changed."""
        self._listeners.append(call)

    def load_changed(self) -> None:
        """Report soon."""
        self._changed.set()

    async def run(self) -> None:
        """Report and listen; for ever."""
        async with EternalTasks() as tasks:
            tasks.spawn("pool-drains", self._listen())
            tasks.spawn("pool-reports", self._report())
            await asyncio.Event().wait()

    async def pull(
        self, take: Callable[[], Awaitable[T | None]], put_back: Callable[[], Awaitable[None]]
    ) -> T | None:
        """Wait for an offer; None when the intake closes first, and then nothing is asked for."""
        if self.closed:
            return None
        with self._entering():
            scope = asyncio.timeout(None)
            try:
                async with scope as self._pull:
                    return await take()
            except TimeoutError:
                if not scope.expired():
                    raise
                await put_back()
                return None
            finally:
                self._pull = None

    @asynccontextmanager
    async def claiming(self) -> AsyncIterator[bool]:
        """Whether new work may be claimed; to be held until the claim is answered.

        Entered before it asks, so that no drain is acknowledged between the answer and the claim.
        """
        with self._entering():
            yield await self._may_claim()

    async def _may_claim(self) -> bool:
        """The watch says when to stop; this read makes sure that it did not say so too late."""
        try:
            drain = await self._drains.of(self.member.pod_uid)
        except BucketUnknown as error:
            self._complain("read", error)
            return False
        self._calm("read")
        return not self.closed and (drain is None or drain.record is None)

    @contextmanager
    def _entering(self) -> Iterator[None]:
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self._changed.set()

    # What is known of the drain record

    async def _listen(self) -> None:
        async with aclosing(self._drains.watch(self.member.pod_uid)) as telling:
            async for told in telling:
                was = self._stand
                match told:
                    case Mark.UNKNOWN:
                        self._known = False
                        self._complain("watch", "the watch broke")
                    case Mark.CURRENT:
                        # A record that is simply not there any more, without its withdrawal, still
                        # holds: the bucket was lost, and that may not undo what was acknowledged.
                        self._known = True
                        self._calm("watch")
                    case Drain():
                        self._obey(told.record)
                self._tell_change(was)

    def _obey(self, record: pools_pb2.DrainRecord | None) -> None:
        if record != self._record:
            _log_drain(record)
        self._record = record

    @property
    def _stand(self) -> tuple[bool, bool, bool]:
        return self.closed, self.asked, self.hands_over

    def _tell_change(self, was: tuple[bool, bool, bool]) -> None:
        DRAIN_KNOWN.set(self._known)
        DRAINING.set(self._record is not None)
        if self.closed and self._pull is not None:
            self._pull.reschedule(0)
            self._pull = None
        if self._stand != was:
            for call in self._listeners:
                call()
        self._changed.set()

    # What is said of the load

    async def _report(self) -> None:
        while True:
            self._changed.clear()
            await self._say()
            await asyncio.sleep(_LEAST_PAUSE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(REPORT_EVERY_S - _LEAST_PAUSE_S):
                    await self._changed.wait()
            if not self._known:
                self._complain("watch", "not read yet")

    async def _say(self) -> None:
        load = self._load()
        obeyed = self._obeyed(load)
        report = self._message(load, obeyed)
        if obeyed is not None:
            self._says(open_=False)
        try:
            await self._reports.put(report)
        except BucketUnknown as error:
            # One alone is nothing: at the start the connection does not stand yet.
            if self._unsaid:
                self._complain("report", error)
            self._unsaid += 1
            return
        self._unsaid = 0
        self._calm("report")
        self._says(open_=obeyed is None)
        if obeyed != self._acknowledged:
            self._acknowledged = obeyed
            said = "pool_drain_acknowledged" if obeyed is not None else "pool_drain_retracted"
            _log.info(said, sessions=load.sessions)

    def _says(self, *, open_: bool) -> None:
        was = self._stand
        self._says_open = open_
        if self.closed != was[0]:
            self._tell_change(was)

    def _obeyed(self, load: Load) -> Timestamp | None:
        """The drain that holds by now: nobody is inside, nothing is promised."""
        record = self._record
        if record is None or self._inside or load.reserved or not record.HasField("ask_time"):
            return None
        return record.ask_time

    def _message(self, load: Load, obeyed: Timestamp | None) -> pools_pb2.PodReport:
        return pools_pb2.PodReport(
            pool=self.member.pool,
            pod=self.member.pod,
            pod_uid=self.member.pod_uid,
            run_id=self.run_id,
            sessions=load.sessions,
            reserved=load.reserved,
            slots_used=load.slots_used,
            slots_total=load.slots_total,
            viewers=load.viewers,
            egress_bps=load.egress_bps,
            obeyed_drain_time=obeyed,
            ready=load.ready,
        )

    def _complain(self, what: str, error: object) -> None:
        """A trouble that lasts is told once."""
        if not self._trouble[what]:
            event, effect = _TROUBLES[what]
            _log.warning(event, pod_uid=self.member.pod_uid, error=str(error), effect=effect)
        self._trouble[what] = True

    def _calm(self, what: str) -> None:
        if self._trouble[what]:
            _log.info("pool_trouble_over", what=what, pod_uid=self.member.pod_uid)
        self._trouble[what] = False


def _log_drain(record: pools_pb2.DrainRecord | None) -> None:
    if record is None:
        _log.info("pool_undrained")
        return
    asked = record.ask_time.ToJsonString() if record.HasField("ask_time") else "at no known time"
    _log.info(
        "pool_draining",
        asked=asked,
        reason=record.reason,
        asked_by=record.asked_by,
        hand_over=record.hand_over,
    )
