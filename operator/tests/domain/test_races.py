"""Scale-ins while work is being claimed: nothing is ever cut.

A small cluster with the races of a real one: claims are on their way while a drain is written, pods
hear of a drain late, readings arrive late and out of order, containers restart and forget. Seeds
make it repeatable.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from random import Random

import pytest
from odeon_operator.domain import pods as life
from odeon_operator.domain.behavior import Behavior, Direction
from odeon_operator.domain.decision import Inputs, Memory
from odeon_operator.domain.demand import Target
from odeon_operator.domain.planning import decide
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.reports import Metric, Report

T0 = datetime(2026, 5, 4, tzinfo=UTC)
S = timedelta(seconds=1)
POOL = Pool("main", 0, 12, (Target(Metric.ACTIVE_TRANSCODES, Fraction(2)),))
# As eager as can be: every lull drains, so that races are many.
POLICY = Policy(behavior=Behavior(scale_in=Direction()))
SCALE_INS = 600


@dataclass(slots=True)
class Agent:
    """A pod's own truth."""

    sessions: int = 0
    pulls: int = 0
    """Claims on their way to it; each becomes a session unless it is cancelled."""
    record: datetime | None = None
    """The drain record in KV; it outlives restarts and is checked before every new claim."""
    obeys: datetime | None = None


@dataclass(slots=True)
class Cluster:
    """Agents, what the operator believes of them, and messages on their way."""

    random: Random
    now: datetime = T0
    known: dict[str, Pod] = field(default_factory=dict)
    agents: dict[str, Agent] = field(default_factory=dict)
    mail: list[tuple[datetime, str, Report | None]] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    made: int = 0
    deleted: int = 0
    killed: int = 0

    def live(self) -> None:
        """A second of claims, ends, restarts and messages."""
        busy = (self.now - T0) // (20 * S) % 2 == 0
        for uid, agent in self.agents.items():
            self._work(agent, busy=busy)
            if self.random.random() < 0.01:
                agent.obeys, agent.pulls = None, 0
                self.known[uid] = life.restarted(self.known[uid])
            if agent.record != agent.obeys and self.random.random() < 0.4:
                agent.pulls, agent.obeys = 0, agent.record
                if agent.record is not None:
                    self._send(uid, None)
            said = Report(
                self.now, sessions=agent.sessions, slots=agent.sessions, obeys=agent.obeys
            )
            self._send(uid, said)

    def _work(self, agent: Agent, *, busy: bool) -> None:
        if agent.pulls and self.random.random() < 0.6:
            agent.pulls, agent.sessions = agent.pulls - 1, agent.sessions + 1
        if agent.record is None and agent.obeys is None:
            wanted = busy and agent.sessions + agent.pulls < 2 and self.random.random() < 0.5
            agent.pulls += wanted
        if agent.sessions and self.random.random() < (0.05 if busy else 0.5):
            agent.sessions -= 1

    def _send(self, uid: str, report: Report | None) -> None:
        delay = self.random.choice([0, 0, 0, 1, 3])
        self.mail.append((self.now + delay * S, uid, report))

    def deliver(self) -> None:
        """What arrives by now, in any order; a reading counts from its arrival."""
        due = [m for m in self.mail if m[0] <= self.now]
        self.mail = [m for m in self.mail if m[0] > self.now]
        self.random.shuffle(due)
        for n, (_, uid, report) in enumerate(due):
            pod = self.known.get(uid)
            if pod is None:
                continue
            if report is not None:
                arrived = replace(report, at=self.now + timedelta(microseconds=n))
                self.known[uid] = life.reported(pod, arrived)
            elif pod.state is PodState.DRAINING:
                self.known[uid] = life.drain_acked(pod, self.now)

    def operate(self) -> None:
        """One decision and its effects."""
        plan = decide(POOL, POLICY, Inputs(self.now, tuple(self.known.values())), self.memory)
        self.memory = plan.memory
        for uid in plan.decision.actions.undrain:
            self.agents[uid].record = None
            self.known[uid] = life.undrained(self.known[uid])
        for uid in plan.decision.actions.drain:
            self.agents[uid].record = self.now
            self.known[uid] = life.drain_asked(self.known[uid], self.now)
        for uid in plan.decision.actions.delete:
            agent = self.agents.pop(uid)
            del self.known[uid]
            self.deleted += 1
            self.killed += agent.sessions + agent.pulls
        for index in plan.decision.actions.start:
            self.made += 1
            uid = f"{index}-{self.made}"
            self.known[uid] = Pod(uid, uid, index, PodState.STARTING, self.now, node="n")
            self.agents[uid] = Agent()


def seconds(cluster: Cluster) -> Iterator[int]:
    tick = 0
    while cluster.deleted < SCALE_INS:
        yield tick
        tick += 1
        cluster.now += S
        assert tick < 100_000, "scale-ins ceased"


@pytest.mark.parametrize("seed", range(4))
def test_no_session_is_cut_in_thousands_of_scale_ins_with_claims_racing(seed: int) -> None:
    cluster = Cluster(Random(seed))

    for _ in seconds(cluster):
        cluster.live()
        cluster.deliver()
        cluster.operate()
        assert cluster.killed == 0
