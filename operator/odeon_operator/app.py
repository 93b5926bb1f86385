"""The operator, put together. Tests start it in their own process; `__main__` starts it for real.

```
 kopf (thread) ─ events ─┐                    ┌─► Reconciler ─► API server, NATS KV
 list every 30 s ────────┼─► Picture ─► Rounds┤
 NATS KV ─ reports ──────┘                    └─► status
```
A standby has connections and probes, but neither watches nor looks: all of that begins with the
lease, and the process ends when it is lost.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from odeon_runtime.bus import Bus
from odeon_runtime.logs import logger
from odeon_runtime.tasks import EternalTasks

from odeon_operator.adapters.bookings import EdgeAudiences, KvBookings
from odeon_operator.adapters.clock import SystemClock
from odeon_operator.adapters.kube.addresses import KubeAddresses
from odeon_operator.adapters.kube.announcements import KubeAnnouncements
from odeon_operator.adapters.kube.budgets import KubeBudgets
from odeon_operator.adapters.kube.client import KubeClient
from odeon_operator.adapters.kube.cluster import KubeCluster
from odeon_operator.adapters.kube.events import KubeEvents
from odeon_operator.adapters.kube.lease import KubeLease
from odeon_operator.adapters.kube.picture import EVENT, TENANT, Picture
from odeon_operator.adapters.kube.statefulsets import KubeStatefulSets
from odeon_operator.adapters.kube.watch import KubeWatch
from odeon_operator.adapters.queue import OfferQueue
from odeon_operator.adapters.reports import KvReports
from odeon_operator.api.events import EventObjects
from odeon_operator.api.objects import KubeObjects
from odeon_operator.api.probes import Health, probes
from odeon_operator.ports import Outdated, PoolRef, Refused, Unreachable
from odeon_operator.settings import OperatorSettings
from odeon_operator.usecases import meters
from odeon_operator.usecases.announcing import Announcer
from odeon_operator.usecases.bookings_in_use import BookingsInUse
from odeon_operator.usecases.event_status import EventStatuses
from odeon_operator.usecases.guarding import Guard
from odeon_operator.usecases.projecting import Projecting
from odeon_operator.usecases.publishing import Publishing
from odeon_operator.usecases.reconcile import Pace, Reconciler
from odeon_operator.usecases.rounds import Rounds
from odeon_operator.usecases.statefulsets import Replacing
from odeon_operator.usecases.sweep import Sweeper

_RETRY_S = 1.0
_WORKERS = 8
"""Pools that are looked at at once; a look waits for the API server most of its time."""
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class _Booked:
    """Everything about bookings."""

    told: KvBookings
    audiences: EdgeAudiences
    projecting: Projecting
    statuses: EventStatuses
    in_use: BookingsInUse


class Operator:
    """One operator process."""

    def __init__(self, settings: OperatorSettings, client: KubeClient, bus: Bus) -> None:
        self._settings = settings
        self._clock = SystemClock()
        self.lease = KubeLease(
            client,
            namespace=settings.lease_namespace,
            name=settings.lease_name,
            identity=settings.identity,
            clock=self._clock,
            terms=settings.terms,
        )
        objects, namespace = KubeObjects(), settings.watch_namespace
        self._picture = Picture(objects, self._concerns)
        self._cluster = KubeCluster(client, self._picture, objects, namespace=namespace)
        self._reports = KvReports(
            bus, identity=settings.identity, clock=self._clock, changed=self._heard
        )
        self._watch = KubeWatch(self._event, namespace=namespace)
        self._booked = self._bookings(client, bus)
        self._queue = OfferQueue(bus, self._clock, self._other_jobs_wait)
        self._announcer = Announcer(
            KubeAnnouncements(client, identity=settings.identity), self.lease, self._clock
        )
        self._rounds = Rounds(self._reconciler().reconcile, self._clock)
        self._replacing = Replacing(
            KubeStatefulSets(client, namespace=namespace),
            self._reports,
            self.lease,
            clock=self._clock,
            every_s=settings.look_s,
        )
        self._publishing = Publishing(
            KubeAddresses(client, namespace=namespace), self.lease, every_s=settings.look_s
        )
        self._sweeper = Sweeper(
            self._cluster, self._reports, self.lease, others=lambda: self._replacing.members
        )
        self._guard = self._guarding(KubeBudgets(client, namespace=namespace))
        self._whole_at: float | None = None
        self._heard_at: float | None = None

    def _reconciler(self) -> Reconciler:
        settings = self._settings
        return Reconciler(
            self._cluster,
            self._reports,
            self.lease,
            clock=self._clock,
            pace=Pace(timedelta(seconds=settings.look_s), timedelta(seconds=settings.status_s)),
            bookings=self._booked.in_use,
            queue=self._queue,
            announce=self._announcer.announce,
            runbook=settings.runbook_url,
        )

    def _guarding(self, budgets: KubeBudgets) -> Guard:
        look_s, resync_s = self._settings.look_s, self._settings.resync_s
        return Guard(self._cluster, budgets, self.lease, every_s=look_s, resync_s=resync_s)

    def _bookings(self, client: KubeClient, bus: Bus) -> "_Booked":
        settings = self._settings
        events = KubeEvents(
            client,
            self._picture,
            EventObjects(),
            home=settings.lease_namespace,
            watched=settings.watch_namespace,
        )
        told = KvBookings(bus, lambda: self._booked.projecting.concerns())
        audiences = EdgeAudiences(bus, self._clock)
        clock, every_s = self._clock, settings.look_s
        statuses = EventStatuses(events, self._cluster, self.lease, clock=clock, every_s=every_s)
        return _Booked(
            told,
            audiences,
            Projecting(events, told, self.lease, clock=clock, every_s=every_s),
            statuses,
            BookingsInUse(told, audiences, statuses.note),
        )

    def health(self) -> Health:
        """What the probes tell."""
        now = self._clock.monotonic()
        return Health(
            leader=self.lease.held,
            picture_age_s=now - self._whole_at if self._whole_at is not None else None,
            watch_age_s=now - self._heard_at if self._heard_at is not None else None,
            reconcile_lag_s=self._rounds.lag,
            reports_known=self._reports.current,
        )

    async def run(self, tasks: EternalTasks) -> None:
        """Wait for the lease, then act for as long as it is held.

        Raises:
            LeaseLost: it is lost; with this task all others of the process end.
        """
        await self.lease.acquire()
        tasks.spawn("act", self._act(tasks))
        await self.lease.keep()

    async def _act(self, tasks: EternalTasks) -> None:
        tasks.spawn("reports", self._reports.follow_reports())
        tasks.spawn("drains", self._reports.follow_drains())
        tasks.spawn("queue", self._queue.follow())
        # Nothing is decided before everything was read once.
        await self._make_whole()
        tasks.spawn("watch", self._watch.run())
        for number in range(_WORKERS):
            tasks.spawn(f"reconcile-{number}", self._rounds.work())
        tasks.spawn("statefulsets", self._replacing.run())
        tasks.spawn("addresses", self._publishing.run())
        tasks.spawn("budgets", self._guard.run())
        tasks.spawn("events", self._announcer.run())
        await self._booked.audiences.start()
        tasks.spawn("bookings", self._booked.told.follow())
        tasks.spawn("projecting", self._booked.projecting.run())
        tasks.spawn("event-status", self._booked.statuses.run())
        await self._resync()

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(self._settings.resync_s)
            await self._make_whole()
            await self._sweeper.sweep()

    async def _make_whole(self) -> None:
        """Read everything, as long as that takes."""
        while True:
            try:
                await self._cluster.make_whole()
                break
            except (Outdated, Refused, Unreachable) as error:
                _log.warning("resync_failed", error=str(error))
                self._tell_age()
                await asyncio.sleep(_RETRY_S)
        self._whole_at = self._clock.monotonic()
        self._tell_age()
        for ref in self._cluster.pools():
            self._rounds.concerns(ref)
        self._booked.statuses.everything()

    def _tell_age(self) -> None:
        if self._whole_at is not None:
            meters.WATCH_AGE.set(self._clock.monotonic() - self._whole_at)

    def _event(self, kind: str, what: str | None, raw: dict[str, Any]) -> None:
        self._heard_at = self._clock.monotonic()
        if what == "DELETED":
            self._picture.drop(kind, raw["metadata"]["uid"])
        else:
            self._picture.put(kind, raw)
        if kind in (EVENT, TENANT):
            self._booked.projecting.concerns()
            self._booked.statuses.concerns()
        if kind == TENANT:
            self._booked.statuses.everything()

    def _concerns(self, ref: PoolRef) -> None:
        self._rounds.concerns(ref)

    def _other_jobs_wait(self) -> None:
        for ref in self._cluster.pools():
            self._rounds.concerns(ref)

    def _heard(self, pod_uid: str) -> None:
        self._replacing.concerns(pod_uid)
        if (ref := self._picture.owner_of(pod_uid)) is not None:
            self._rounds.concerns(ref)


@asynccontextmanager
async def start(settings: OperatorSettings) -> AsyncIterator[Mapping[str, str]]:
    """Everything of the operator; yields its addresses. Stops in reverse order."""
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(KubeClient())
        bus = await stack.enter_async_context(Bus.of(settings, name="operator"))
        operator = Operator(settings, client, bus)
        address = await stack.enter_async_context(
            probes(settings.http_host, settings.http_port, operator.health)
        )
        stack.push_async_callback(operator.lease.release)
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("lease", operator.run(tasks))
        yield {"http": address, "identity": settings.identity}
