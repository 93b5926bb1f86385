"""One look at one pool: what is known → decision → actions → status.

Level-triggered: a look depends on what stands and never on which event caused it, so events may be
lost, doubled or late. What is remembered between looks (`_Memory`) only makes decisions steadier; a
process that forgot it begins with what stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from odeon_runtime import telemetry
from odeon_runtime.logs import logger
from opentelemetry import trace

from odeon_operator.domain import announcements
from odeon_operator.domain.announcements import Announcement
from odeon_operator.domain.booking_status import views
from odeon_operator.domain.conditions import (
    Circumstances,
    Condition,
    linked,
    merged,
    of_decision,
    of_problem,
    troubles,
)
from odeon_operator.domain.decision import Decision, Inputs, Memory, explain, figures
from odeon_operator.domain.learning import Learned, learn, resumed
from odeon_operator.domain.planning import decide
from odeon_operator.domain.pods import Pod
from odeon_operator.domain.policy import Policy, Pool, ScalingMode
from odeon_operator.domain.selection import Actions
from odeon_operator.domain.sight import PodFacts, pod_of
from odeon_operator.domain.starts import Room
from odeon_operator.domain.status import (
    ColdStart,
    PoolStatus,
    carry,
    count,
    desired,
    due,
    last_scale,
    noted,
)
from odeon_operator.ports import (
    Clock,
    Cluster,
    Lease,
    Outdated,
    PoolFacts,
    PoolRef,
    Queue,
    Refused,
    Reports,
    Unreachable,
)
from odeon_operator.usecases import meters
from odeon_operator.usecases.announcing import Announce, unheard
from odeon_operator.usecases.bookings_in_use import BookingsInUse
from odeon_operator.usecases.carrying_out import CarryingOut, Outcome, Seen
from odeon_operator.usecases.waiting import waiting

_log = logger(__name__)
_tracer = telemetry.tracer(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often things are looked at and written.

    Attributes:
        tick: a pool is looked at this often although nothing happened: windows and bookings begin.
        status: between two writes of a pool's status.
        again: after something had changed meanwhile.
        retry: after a dependency did not answer.
        foreign: how long another writer is told of after it was last seen.
    """

    tick: timedelta = timedelta(seconds=5)
    status: timedelta = timedelta(seconds=5)
    again: timedelta = timedelta(milliseconds=100)
    retry: timedelta = timedelta(seconds=1)
    foreign: timedelta = timedelta(minutes=10)


@dataclass(slots=True)
class _Memory:
    """What is remembered of a pool.

    Attributes:
        asked, accepted: the status that was written last, and what the API server made of it.
        written: when that was.
        overwritten: when somebody else was last seen to have written it.
        told: conditions as they were last announced.
        draft: the status of the last look, and what stood then: what is decided between two
            writes is told by the next one.
    """

    uid: str
    scaling: Memory = field(default_factory=Memory)
    learned: Learned = field(default_factory=Learned)
    asked: PoolStatus | None = None
    accepted: PoolStatus | None = None
    written: datetime | None = None
    overwritten: datetime | None = None
    told: tuple[Condition, ...] | None = None
    draft: tuple[PoolStatus, PoolStatus | None] | None = None

    def before(self, standing: PoolStatus | None) -> PoolStatus | None:
        """What a status goes on from: the last draft, unless something else stands by now."""
        if self.draft is not None and self.draft[1] == standing:
            return self.draft[0]
        return standing


@dataclass(frozen=True, slots=True)
class _Look:
    """Everything of one look that its status tells."""

    facts: PoolFacts
    pool: Pool
    policy: Policy
    pods: tuple[Pod, ...]
    decision: Decision
    outcome: Outcome


class Reconciler:
    """Looks at pools, one at a time each.

    Args:
        queue: work that waits; None: there is none.
        announce: hears what is worth an Event.
        runbook: what the messages of conditions point to.
    """

    def __init__(
        self,
        cluster: Cluster,
        reports: Reports,
        lease: Lease,
        *,
        clock: Clock,
        pace: Pace | None = None,
        bookings: BookingsInUse | None = None,
        queue: Queue | None = None,
        announce: Announce = unheard,
        runbook: str = "",
    ) -> None:
        self._announce = announce
        self._runbook = runbook
        self._bookings = bookings or BookingsInUse()
        self._queue = queue
        self._cluster = cluster
        self._reports = reports
        self._lease = lease
        self._clock = clock
        self._pace = pace or Pace()
        self._work = CarryingOut(cluster, reports, lease)
        self._memories: dict[PoolRef, _Memory] = {}

    async def reconcile(self, ref: PoolRef) -> timedelta | None:
        """Look at a pool; returns in how long to look again, None if it is gone."""
        facts = self._cluster.pool(ref)
        if facts is None or facts.leaving:
            self._memories.pop(ref, None)
            self._bookings.forget(ref)
            self._count_trouble()
            return None
        if not self._lease.held:
            return self._pace.retry
        memory = self._remembered(facts)
        self._notice_writers(facts, memory)
        if facts.pool is None or facts.policy is None:
            held = await self._hold(facts)
            self._say(facts, memory, held, ())
            return await self._tell(facts, memory, held)
        with _tracer.start_as_current_span("reconcile pool") as span:
            look = await self._look(facts, facts.pool, facts.policy, memory)
            span.set_attributes({"odeon.pool": ref.name, "odeon.namespace": ref.namespace})
            span.set_attributes({f"odeon.{k}": v for k, v in figures(look.decision).items()})
            status = self._status(look, memory)
            self._say(facts, memory, status, announcements.of_decision(look.decision, look.pods))
            soon = await self._tell(facts, memory, status)
        if look.outcome.unreachable:
            return min(soon, self._pace.retry)
        return min(soon, self._pace.again) if look.outcome.outdated else soon

    async def _look(self, facts: PoolFacts, pool: Pool, policy: Policy, memory: _Memory) -> _Look:
        now = self._clock.now()
        seen = self._seen(self._cluster.pods(facts.uid))
        pods = tuple(seen.pods.values())
        failed = [f.uid for f in seen.facts.values() if f.failed and f.version == pool.version]
        memory.learned = learn(memory.learned, pods, failed, now, pool.version)
        waits = waiting(facts, self._queue)
        inputs = Inputs(
            now=now,
            pods=pods,
            tenants=waits.tenants,
            queue_known=self._reports.current and waits.known,
            bookings=self._bookings.known(facts, policy, memory.learned.cold_starts, now),
            cold_starts=memory.learned.cold_starts,
            room=Room(free=self._cluster.free(facts), backoff=memory.learned.backoff),
        )
        plan = decide(pool, policy, inputs, memory.scaling)
        self._bookings.note(facts.ref, views(pool, policy, inputs, plan.decision))
        memory.scaling = plan.memory
        decision = plan.decision
        if decision.wanted != decision.previous:
            said = explain(decision)
            _log.info("decided", pool=pool.name, said=said, **figures(decision))
        outcome = Outcome()
        if not policy.dry_run:
            outcome = await self._work.run(facts, decision.actions, seen, now)
        starting = memory.learned.starting | outcome.made
        memory.learned = replace(memory.learned, starting=starting)
        return _Look(facts, pool, policy, pods, decision, outcome)

    def _say(
        self,
        facts: PoolFacts,
        memory: _Memory,
        status: PoolStatus,
        done: tuple[Announcement, ...],
    ) -> None:
        """Announce what was done and which conditions turned, each once."""
        before, first = memory.told, memory.told is None
        if before is None:
            before = facts.status.conditions if facts.status is not None else ()
        memory.told = status.conditions
        turned = announcements.of_conditions(before, status.conditions)
        if done or turned:
            self._announce(facts, (*done, *turned))
        if first or turned:
            self._count_trouble()

    def _count_trouble(self) -> None:
        told = (one for memory in self._memories.values() for one in memory.told or ())
        for kind, pools in troubles(told).items():
            meters.TROUBLE.labels(kind).set(pools)

    def _seen(self, found: Sequence[PodFacts]) -> Seen:
        facts = {f.uid: f for f in found}
        pods = {
            uid: pod_of(one, self._reports.readings(uid), self._reports.drain(uid))
            for uid, one in facts.items()
        }
        return Seen(facts, pods)

    def _remembered(self, facts: PoolFacts) -> _Memory:
        memory = self._memories.get(facts.ref)
        if memory is None or memory.uid != facts.uid:
            memory = _Memory(facts.uid)
            if facts.status is not None:
                cold = facts.status.cold_start
                memory.learned = Learned(cold_starts=resumed(cold.p95, cold.samples))
            self._memories[facts.ref] = memory
        return memory

    def _notice_writers(self, facts: PoolFacts, memory: _Memory) -> None:
        if memory.accepted is not None and facts.status != memory.accepted:
            memory.overwritten = self._clock.now()
            memory.accepted = facts.status
            _log.warning("status_overwritten", pool=facts.ref.name)

    def _foreign(self, facts: PoolFacts, memory: _Memory, now: datetime) -> str:
        said = []
        policy_rules = facts.pool is not None and facts.pool.mode is ScalingMode.POLICY
        if policy_rules and facts.scale.replicas is not None:
            writer = facts.scale.writer or "somebody"
            said.append(f"{writer} wrote spec.replicas; scalingMode Policy does not follow it")
        if memory.overwritten is not None and now - memory.overwritten < self._pace.foreign:
            said.append("the status was written by somebody else, perhaps a second operator")
        return "; ".join(said)

    def _status(self, look: _Look, memory: _Memory) -> PoolStatus:
        facts, decision = look.facts, look.decision
        before = memory.before(facts.status)
        context = trace.get_current_span().get_span_context()
        trace_id = f"{context.trace_id:032x}" if context.is_valid else ""
        about = Circumstances(
            foreign=self._foreign(facts, memory, decision.at),
            trouble=look.outcome.trouble,
            patience=facts.patience,
        )
        found = linked(
            of_decision(look.pool, look.policy, decision, look.pods, about), self._runbook
        )
        starts = memory.learned.cold_starts
        made = PoolStatus(
            generation=facts.generation,
            selector=facts.selector,
            counts=count(look.pods, look.pool.version),
            carried=carry([self._reports.readings(p.uid) for p in look.pods]),
            desired=desired(before, decision, trace_id),
            cold_start=ColdStart(
                p50=round(starts.quantile(50).total_seconds()),
                p95=round(starts.quantile(95).total_seconds()),
                samples=len(starts.samples),
            ),
            last_scale=last_scale(before, decision),
            decisions=noted(before, decision, trace_id, told=facts.status),
            conditions=merged(before.conditions if before is not None else (), found),
        )
        memory.draft = (made, facts.status)
        return made

    async def _hold(self, facts: PoolFacts) -> PoolStatus:
        """Keep the pods of a pool that cannot be decided on.

        They are labelled and counted all the same: what protects live work goes by that.
        """
        before, now = facts.status, self._clock.now()
        found = linked(of_problem(facts.problem, now), self._runbook)
        seen = self._seen(self._cluster.pods(facts.uid))
        await self._work.run(facts, Actions(), seen, now)
        pods = tuple(seen.pods.values())
        return PoolStatus(
            generation=facts.generation,
            selector=facts.selector,
            counts=count(pods),
            carried=carry([self._reports.readings(p.uid) for p in pods]),
            desired=before.desired if before is not None else None,
            cold_start=before.cold_start if before is not None else ColdStart(),
            last_scale=before.last_scale if before is not None else None,
            decisions=before.decisions if before is not None else (),
            conditions=merged(before.conditions if before is not None else (), found),
        )

    async def _tell(self, facts: PoolFacts, memory: _Memory, status: PoolStatus) -> timedelta:
        """Write the status if it says something new and the last one is old enough."""
        if status == memory.asked and facts.status == memory.accepted:
            return self._pace.tick
        now = self._clock.now()
        soon = due(facts.status, status, written=memory.written, now=now, spacing=self._pace.status)
        if soon is None:
            return self._pace.tick
        if soon > timedelta(0):
            return min(soon, self._pace.tick)
        if not self._lease.held:
            return self._pace.retry
        try:
            memory.accepted = await self._cluster.write_status(facts, status)
        except Outdated:
            return self._pace.again
        except Unreachable as error:
            _log.warning("unreachable", error=str(error))
            return self._pace.retry
        except Refused as error:
            # The same would be refused again: it is not repeated until there is something new.
            _log.error("status_refused", pool=facts.ref.name, error=str(error))
            memory.accepted = facts.status
        memory.asked, memory.written = status, now
        meters.STATUS_WRITES.inc()
        return self._pace.tick
