"""One operator over an API server, a NATS and pods in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from fractions import Fraction

from odeon_operator.domain.behavior import Behavior, Direction
from odeon_operator.domain.conditions import Condition
from odeon_operator.domain.demand import Target
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.reports import Metric
from odeon_operator.domain.sight import PodFacts
from odeon_operator.domain.status import Desired, PoolStatus
from odeon_operator.ports import PoolRef
from odeon_operator.usecases.reconcile import Reconciler

from odeon_testkit.fleet import (
    Api,
    FleetAgent,
    FleetCluster,
    FleetReports,
    HeldLease,
    Kv,
    ManualClock,
)

POOL = Pool("main", 0, 12, (Target(Metric.ACTIVE_TRANSCODES, Fraction(2)),), version="v1")
# As eager as can be: every lull drains.
EAGER = Policy(behavior=Behavior(scale_in=Direction()))


@dataclass(slots=True)
class Operator:
    """One operator and what it knows."""

    cluster: FleetCluster
    reports: FleetReports
    lease: HeldLease
    reconciler: Reconciler

    def sync(self) -> None:
        """Everything that happened arrives."""
        self.cluster.sync()
        self.reports.sync()

    async def look(self, ref: PoolRef) -> timedelta | None:
        """Look at a pool with what is known."""
        return await self.reconciler.reconcile(ref)


@dataclass(slots=True)
class World:
    """The truth, and operators who look at it."""

    clock: ManualClock = field(default_factory=ManualClock)
    kv: Kv = field(default_factory=Kv)
    agents: dict[str, FleetAgent] = field(default_factory=dict)
    api: Api = field(init=False)
    ref: PoolRef = field(init=False)
    operator: Operator = field(init=False)

    def __post_init__(self) -> None:
        self.api = Api(self.clock)
        self.ref = self.api.add_pool(POOL, EAGER)
        self.operator = self.start("operator-1")

    def start(self, identity: str) -> Operator:
        """An operator that remembers nothing."""
        cluster, reports = FleetCluster(self.api), FleetReports(self.kv, self.clock)
        lease = HeldLease(identity)
        reconciler = Reconciler(cluster, reports, lease, clock=self.clock)
        return Operator(cluster, reports, lease, reconciler)

    def set_pool(self, **fields: object) -> None:
        """Somebody edits the spec."""
        self.api.change_pool(self.ref, pool=replace(POOL, **fields))  # type: ignore[arg-type]

    def set_policy(self, **fields: object) -> None:
        """Somebody edits the policy."""
        self.api.change_pool(self.ref, policy=replace(EAGER, **fields))  # type: ignore[arg-type]

    def live(self, seconds: float = 1.0) -> None:
        """Time passes, nodes take pods, agents heed their records and report."""
        self.clock.advance(seconds)
        self.api.schedule()
        for uid in self.api.pods:
            agent = self.agents.setdefault(uid, FleetAgent(uid, self.kv, self.clock))
            agent.heed()
            agent.speak()

    async def rounds(
        self, count: int = 1, *, seconds: float = 1.0, until: Callable[[], bool] | None = None
    ) -> None:
        """Live and look, so often or until something holds."""
        for _ in range(count):
            self.live(seconds)
            self.operator.sync()
            await self.operator.look(self.ref)
            if until is not None and until():
                return
        assert until is None, "it did not come about"

    async def settled(self, pods: int) -> None:
        """Look until so many pods serve and are labelled so."""
        self.set_pool(least=pods)
        await self.rounds(20, until=lambda: len(self.serving()) == pods)

    def serving(self) -> list[PodFacts]:
        """Pods that took up work, by their label."""
        return [p for p in self.api.pods.values() if p.marked in ("ready", "allocated")]

    @property
    def status(self) -> PoolStatus:
        """Of the pool, as it stands."""
        found = self.api.pools[self.ref].status
        assert found is not None
        return found

    @property
    def desired(self) -> Desired:
        """The wanted number in the pool's status."""
        assert self.status.desired is not None
        return self.status.desired

    def condition(self, kind: str) -> Condition:
        """One of the pool's conditions."""
        return next(c for c in self.status.conditions if c.kind == kind)

    def verbs(self, verb: str) -> list[str]:
        """Names written with a verb."""
        return [name for did, name in self.api.writes if did == verb]
