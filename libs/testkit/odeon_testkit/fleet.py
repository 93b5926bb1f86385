"""A cluster, its NATS and its pods in memory, for tests of what the operator does with them.

`Api` and `Kv` are the truth. `FleetCluster` and `FleetReports` are what one operator knows of it:
they learn of changes by others only at `sync()`, so a test decides what is late.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from odeon_operator.domain.pods import PodState
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.reports import Report
from odeon_operator.domain.sight import DrainRecord, Heard, PodFacts, Readings
from odeon_operator.domain.status import PoolStatus
from odeon_operator.ports import (
    NameTaken,
    Outdated,
    PoolFacts,
    PoolRef,
    Scale,
    Unreachable,
)

T0 = datetime(2026, 5, 4, 12, tzinfo=UTC)


def _nothing() -> None:
    """Nobody dies here."""


def _no_race(_pod: PodFacts) -> None:
    """Nothing happens meanwhile."""


@dataclass(slots=True)
class ManualClock:
    """Time that moves when a test says so."""

    time: datetime = T0

    def now(self) -> datetime:
        """The present."""
        return self.time

    def monotonic(self) -> float:
        """The same in seconds."""
        return (self.time - T0).total_seconds()

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += timedelta(seconds=seconds)


@dataclass(slots=True)
class HeldLease:
    """A lease that is held unless a test takes it away."""

    identity: str = "operator-1"
    held: bool = True


@dataclass(slots=True)
class Api:
    """The API server: pools and pods with revisions and preconditions.

    Attributes:
        away: it does not answer.
        before_delete: called as a deletion arrives, before it is judged: what happens meanwhile.
        writes: of pods and of statuses, as (verb, name).
        deleted: pods that are gone, as they were.
        toll: called before and after every write; what it raises happens there.
    """

    clock: ManualClock
    pools: dict[PoolRef, PoolFacts] = field(default_factory=dict)
    pods: dict[str, PodFacts] = field(default_factory=dict)
    away: bool = False
    before_delete: Callable[[PodFacts], None] = _no_race
    writes: list[tuple[str, str]] = field(default_factory=list)
    deleted: list[PodFacts] = field(default_factory=list)
    toll: Callable[[], None] = _nothing
    _made: int = 0

    def add_pool(self, pool: Pool, policy: Policy, **fields: object) -> PoolRef:
        """Accept a pool."""
        ref = PoolRef("TranscoderPool", "live", pool.name)
        facts = PoolFacts(ref, f"pool-{pool.name}", 1, pool, policy)
        self.pools[ref] = replace(facts, **fields)  # type: ignore[arg-type]
        return ref

    def change_pool(self, ref: PoolRef, **fields: object) -> None:
        """Somebody edits a pool."""
        self.pools[ref] = replace(self.pools[ref], **fields)  # type: ignore[arg-type]

    def scale(self, ref: PoolRef, replicas: int, writer: str) -> None:
        """Somebody writes `spec.replicas`."""
        self.change_pool(ref, scale=Scale(replicas, writer))

    def change_pod(self, uid: str, **fields: object) -> PodFacts:
        """The object changes, e.g. by the scheduler."""
        pod = replace(self.pods[uid], revision=self.revision(), **fields)  # type: ignore[arg-type]
        self.pods[uid] = pod
        return pod

    def schedule(self, node: str = "node-1") -> None:
        """Every pod gets a node."""
        for uid, pod in self.pods.items():
            if not pod.node:
                self.change_pod(uid, node=node)

    def called(self, name: str) -> PodFacts:
        """A pod by its name."""
        return next(p for p in self.pods.values() if p.name == name)

    def revision(self) -> str:
        """The next one."""
        self._made += 1
        return str(self._made)

    def answer(self) -> None:
        """Raise if it does not."""
        self.toll()
        if self.away:
            raise Unreachable("the API server does not answer")

    def current(self, pod: PodFacts) -> PodFacts | None:
        """The pod if it is still as it was seen; None if it is gone.

        Raises:
            Outdated: it changed.
        """
        self.answer()
        found = self.pods.get(pod.uid)
        if found is not None and found.revision != pod.revision:
            raise Outdated(pod.name)
        return found


class FleetCluster:
    """The API server as one operator sees it."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._pods: dict[str, PodFacts] = {}
        self._pools: dict[PoolRef, PoolFacts] = {}
        self.free_pods: int | None = None
        self.sync()

    def sync(self) -> None:
        """All events arrive, unless the API server is away."""
        if not self._api.away:
            self._pods, self._pools = dict(self._api.pods), dict(self._api.pools)

    def pools(self) -> Collection[PoolRef]:
        """See `ports.Cluster`."""
        return self._pools

    def pool(self, ref: PoolRef) -> PoolFacts | None:
        """See `ports.Cluster`."""
        return self._pools.get(ref)

    def pods(self, owner: str) -> Sequence[PodFacts]:
        """See `ports.Cluster`."""
        owned = [p for p in self._pods.values() if p.owner == owner]
        return sorted(owned, key=lambda p: p.index)

    def alive(self) -> Collection[str]:
        """See `ports.Cluster`."""
        return self._pods.keys()

    def free(self, pool: PoolFacts) -> int | None:
        """See `ports.Cluster`."""
        return self.free_pods

    async def create_pod(self, pool: PoolFacts, index: int) -> PodFacts:
        """See `ports.Cluster`."""
        self._api.answer()
        assert pool.pool is not None
        name = f"{pool.ref.name}-{pool.pool.version}-{index}"
        taken = [p for p in self._api.pods.values() if p.name == name]
        if taken and taken[0].owner != pool.uid:
            raise NameTaken(name)
        if not taken:
            revision = self._api.revision()
            made = PodFacts(
                pool.ref.namespace,
                name,
                f"uid-{revision}",
                revision,
                pool.uid,
                index,
                created=self._api.clock.now(),
                version=pool.pool.version,
                marked=PodState.STARTING,
            )
            self._api.pods[made.uid] = made
            self._api.writes.append(("create", name))
            self._api.toll()
        found = taken[0] if taken else made
        self._pods[found.uid] = found
        return found

    async def delete_pod(self, pod: PodFacts) -> None:
        """See `ports.Cluster`."""
        self._api.answer()
        self._api.before_delete(pod)
        if self._api.current(pod) is not None:
            self._api.deleted.append(self._api.pods.pop(pod.uid))
            self._api.writes.append(("delete", pod.name))
            self._api.toll()
        self._pods.pop(pod.uid, None)

    async def mark_pod(self, pod: PodFacts, state: PodState) -> PodFacts:
        """See `ports.Cluster`."""
        if self._api.current(pod) is None:
            raise Outdated(pod.name)
        marked = self._api.change_pod(pod.uid, marked=state)
        self._api.writes.append(("mark", pod.name))
        self._api.toll()
        self._pods[pod.uid] = marked
        return marked

    async def write_status(self, pool: PoolFacts, status: PoolStatus) -> PoolStatus | None:
        """See `ports.Cluster`."""
        self._api.answer()
        if pool.ref not in self._api.pools:
            raise Outdated(pool.ref.name)
        self._api.change_pool(pool.ref, status=status)
        self._api.writes.append(("status", pool.ref.name))
        self._pools[pool.ref] = self._api.pools[pool.ref]
        return status


@dataclass(slots=True)
class Kv:
    """Both buckets.

    Attributes:
        markers: uids whose record was withdrawn, which is more than that there is none.
        away: NATS does not answer.
        toll: as that of the API server.
    """

    records: dict[str, DrainRecord] = field(default_factory=dict)
    reports: dict[str, tuple[int, Heard]] = field(default_factory=dict)
    markers: set[str] = field(default_factory=set)
    away: bool = False
    toll: Callable[[], None] = _nothing
    revisions: int = 0

    def answer(self) -> None:
        """Raise if it does not."""
        self.toll()
        if self.away:
            raise Unreachable("NATS does not answer")


class FleetReports:
    """The buckets as one operator sees them. `unaware`: it does not know that NATS is away."""

    def __init__(self, kv: Kv, clock: ManualClock) -> None:
        self._kv = kv
        self._clock = clock
        self._readings: dict[str, tuple[int, Readings]] = {}
        self._records: dict[str, DrainRecord] = {}
        self.unaware = False
        self.sync()

    def sync(self) -> None:
        """All that was written arrives, unless NATS is away. A reading counts from now."""
        if self._kv.away:
            return
        self._records = dict(self._kv.records)
        for uid, (revision, heard) in self._kv.reports.items():
            known, readings = self._readings.get(uid, (0, Readings()))
            if revision > known:
                at = replace(heard, report=replace(heard.report, at=self._clock.now()))
                self._readings[uid] = (revision, readings.then(at))

    @property
    def current(self) -> bool:
        """See `ports.Reports`."""
        return self.unaware or not self._kv.away

    def readings(self, uid: str) -> Readings:
        """See `ports.Reports`."""
        return self._readings[uid][1] if uid in self._readings else Readings()

    def drain(self, uid: str) -> DrainRecord | None:
        """See `ports.Reports`."""
        return self._records.get(uid)

    async def ask_drain(self, uid: str, *, asked: datetime, reason: str) -> DrainRecord:
        """See `ports.Reports`."""
        self._kv.answer()
        if uid not in self._kv.records:
            self._kv.records[uid] = DrainRecord(asked, reason)
            self._kv.markers.discard(uid)
            self._kv.toll()
        self._records[uid] = self._kv.records[uid]
        return self._records[uid]

    async def ask_hand_over(self, uid: str, record: DrainRecord) -> DrainRecord:
        """See `ports.Reports`."""
        if not await self.stands(uid, record):
            raise Outdated(uid)
        self._kv.records[uid] = self._records[uid] = replace(record, hand_over=True)
        self._kv.toll()
        return self._records[uid]

    async def stands(self, uid: str, record: DrainRecord) -> bool:
        """See `ports.Reports`."""
        self._kv.answer()
        return self._kv.records.get(uid) == record

    async def withdraw_drain(self, uid: str, record: DrainRecord) -> None:
        """See `ports.Reports`."""
        if not await self.stands(uid, record):
            raise Outdated(uid)
        await self.forget(uid)

    async def forget(self, uid: str) -> None:
        """See `ports.Reports`."""
        self._kv.answer()
        self._kv.records.pop(uid, None)
        self._kv.markers.add(uid)
        self._kv.toll()
        self._records.pop(uid, None)

    def orphans(self, alive: Collection[str]) -> Sequence[str]:
        """See `ports.Reports`."""
        return [uid for uid in self._records if uid not in alive]


@dataclass(slots=True)
class FleetAgent:
    """What runs in a pod: the agent's protocol, and the truth about its work.

    Attributes:
        pulls: claims on their way to it; each becomes a session unless it is cancelled.
        obeys: the drain it obeys.
    """

    uid: str
    kv: Kv
    clock: ManualClock
    run: int = 1
    sessions: int = 0
    pulls: int = 0
    obeys: datetime | None = None

    @property
    def takes_work(self) -> bool:
        """Whether it may claim: no record stands and it obeys none."""
        return self.obeys is None and self.uid not in self.kv.records

    def claim(self) -> bool:
        """Try to take a piece of work."""
        if self.takes_work:
            self.pulls += 1
        return self.takes_work

    def arrive(self) -> None:
        """The claims that are on their way become sessions."""
        self.sessions, self.pulls = self.sessions + self.pulls, 0

    def heed(self) -> None:
        """Look at its drain record: cancel what is on its way, or take work again."""
        record = self.kv.records.get(self.uid)
        if record is not None:
            self.pulls, self.obeys = 0, record.asked
        elif self.uid in self.kv.markers:
            self.obeys = None

    def restart(self) -> None:
        """The container starts anew; its work survives elsewhere, its acknowledgement does not."""
        self.run, self.pulls, self.obeys = self.run + 1, 0, None

    def speak(self) -> None:
        """Write a report."""
        self.kv.revisions += 1
        report = Report(
            self.clock.now(),
            sessions=self.sessions,
            reserved=self.pulls,
            slots=self.sessions + self.pulls,
            obeys=self.obeys,
        )
        self.kv.reports[self.uid] = (self.kv.revisions, Heard(report, str(self.run), True, 2.0))
