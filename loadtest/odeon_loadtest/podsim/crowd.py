"""Many pods that take work, restart and are deleted; and who was killed by it.

Every pod runs the real `PoolAgent`. What is pretended is what a pod works on: a pool's demand is a
number of sessions wanted at once, of random length, offered to all pods of the pool as room offers
jobs. The crowd knows the truth about every session, so it can say how many a deletion cut.
"""

import asyncio
import random
from contextlib import suppress
from dataclasses import dataclass, field

from odeon_runtime.pool_agent import DrainsSource, Load, Member, PoolAgent, ReportsSink
from odeon_runtime.tasks import end


@dataclass(frozen=True, slots=True)
class Habits:
    """How the pretended work goes, in seconds.

    Attributes:
        session_s: mean length of a session.
        claim_s: mean time until a claim is answered.
        resume_s: mean time until a restarted pod has one of its sessions back.
    """

    session_s: float = 30.0
    claim_s: float = 0.02
    resume_s: float = 0.2


@dataclass(slots=True)
class Figures:
    """What happened so far."""

    begun: int = 0
    killed: int = 0
    """Sessions and claims on their way that a deletion cut."""
    restarts: int = 0
    deleted: int = 0
    moved: int = 0
    """Sessions that a pod gave back for others to go on with."""


@dataclass(slots=True)
class Demand:
    """The work of one pool."""

    wanted: int = 0
    running: int = 0
    offers: asyncio.Queue[None] = field(default_factory=asyncio.Queue)
    taken: int = 0
    """Offers that a pod has in its hands."""

    def balance(self) -> None:
        """Have as many offers as sessions are missing."""
        missing = self.wanted - self.running - self.taken - self.offers.qsize()
        for _ in range(missing):
            self.offers.put_nowait(None)
        for _ in range(-missing):
            with suppress(asyncio.QueueEmpty):
                self.offers.get_nowait()


class SimPod:
    """One pod: its agent, and a worker that claims what its pool offers."""

    def __init__(self, member: Member, slots: int, crowd: "Crowd") -> None:
        self.member = member
        self._slots = slots
        self._crowd = crowd
        self._demand = crowd.demand(member.pool)
        self.sessions: set[asyncio.TimerHandle] = set()
        self.claims = 0
        self._to_resume = 0
        self._free = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._deleted = False
        self.agent = self._start()

    @property
    def load(self) -> Load:
        """What the agent reports."""
        promised = self.claims + self._to_resume
        return Load(
            sessions=len(self.sessions),
            reserved=promised,
            slots_used=len(self.sessions) + promised,
            slots_total=self._slots,
        )

    @property
    def live(self) -> int:
        """Sessions that would be cut, and those that are just coming."""
        return len(self.sessions) + self._to_resume + self.claims

    async def restart(self) -> None:
        """End the process anywhere; the next one resumes its sessions."""
        await self._stop()
        if self._deleted:
            return
        self._to_resume = len(self.sessions) + self._to_resume
        self._drop_sessions()
        self.agent = self._start()

    async def delete(self) -> int:
        """End for good; returns how many sessions that cut."""
        cut, self._deleted = self.live, True
        await self._stop()
        self._demand.running -= len(self.sessions) + self._to_resume
        self._drop_sessions()
        self._to_resume = 0
        self._demand.balance()
        return cut

    def _start(self) -> PoolAgent:
        crowd = self._crowd
        agent = PoolAgent(
            self.member, reports=crowd.reports, drains=crowd.drains, load=lambda: self.load
        )
        agent.when_changed(lambda: self._heed(agent))
        for work in (agent.run(), self._work(agent), self._resume(agent)):
            self._tasks.append(asyncio.create_task(work, name=self.member.pod))
        return agent

    def _heed(self, agent: PoolAgent) -> None:
        """The agent closed, opened, or wants what runs here to go on elsewhere."""
        self._free.set()
        if agent.hands_over and self.sessions:
            moved = len(self.sessions)
            self._crowd.figures.moved += moved
            self._demand.running -= moved
            self._drop_sessions()
            self._demand.balance()
            agent.load_changed()

    async def _stop(self) -> None:
        await end(self._tasks)
        self._tasks.clear()

    async def _work(self, agent: PoolAgent) -> None:
        while True:
            if agent.closed or self.live >= self._slots:
                self._free.clear()
                await self._free.wait()
                continue
            if await agent.pull(self._take, self._put_back):
                await self._claim(agent)

    async def _take(self) -> bool:
        await self._demand.offers.get()
        # Until the claim is answered; there is no await between this and the claim's try.
        self._demand.taken += 1
        return True

    async def _put_back(self) -> None:
        """An offer is taken out of the queue only by getting it."""

    async def _claim(self, agent: PoolAgent) -> None:
        try:
            async with agent.claiming() as may:
                if not may:
                    await asyncio.sleep(self._crowd.about(self._crowd.habits.claim_s))
                    return
                self.claims += 1
                try:
                    agent.load_changed()
                    await asyncio.sleep(self._crowd.about(self._crowd.habits.claim_s))
                    self._begin(agent)
                    self._demand.running += 1
                    self._crowd.figures.begun += 1
                finally:
                    self.claims -= 1
        finally:
            self._demand.taken -= 1
            self._demand.balance()

    async def _resume(self, agent: PoolAgent) -> None:
        while self._to_resume:
            await asyncio.sleep(self._crowd.about(self._crowd.habits.resume_s))
            self._to_resume -= 1
            self._begin(agent)

    def _begin(self, agent: PoolAgent) -> None:
        def over() -> None:
            self.sessions.discard(timer)
            self._demand.running -= 1
            self._demand.balance()
            self._free.set()
            self.agent.load_changed()

        length = self._crowd.about(self._crowd.habits.session_s)
        timer = asyncio.get_running_loop().call_later(length, over)
        self.sessions.add(timer)
        agent.load_changed()
        self._heed(agent)

    def _drop_sessions(self) -> None:
        for timer in self.sessions:
            timer.cancel()
        self.sessions.clear()


class Crowd:
    """The pods of all pools."""

    def __init__(
        self,
        *,
        reports: ReportsSink,
        drains: DrainsSource,
        habits: Habits,
        chance: random.Random,
    ) -> None:
        self.reports = reports
        self.drains = drains
        self.habits = habits
        self.figures = Figures()
        self.pods: dict[str, SimPod] = {}
        self._chance = chance
        self._demands: dict[str, Demand] = {}

    def about(self, mean_s: float) -> float:
        """A random time of this mean, and never one that would not end within a run."""
        return min(self._chance.expovariate(1 / mean_s), 5 * mean_s)

    def demand(self, pool: str) -> Demand:
        """The work of a pool."""
        return self._demands.setdefault(pool, Demand())

    def want(self, pool: str, sessions: int) -> None:
        """Have so many sessions at once; more than that end by themselves."""
        demand = self.demand(pool)
        demand.wanted = sessions
        demand.balance()

    def add(self, member: Member, *, slots: int) -> None:
        """A pod has started. Saying so again changes nothing."""
        if member.pod_uid not in self.pods:
            self.pods[member.pod_uid] = SimPod(member, slots, self)

    async def remove(self, pod_uid: str) -> None:
        """A pod was deleted."""
        if (pod := self.pods.pop(pod_uid, None)) is not None:
            self.figures.killed += await pod.delete()
            self.figures.deleted += 1

    async def restart_one(self) -> None:
        """Restart the process of any pod."""
        if self.pods:
            self.figures.restarts += 1
            await self._chance.choice(list(self.pods.values())).restart()

    async def close(self) -> None:
        """End all pods; nobody is killed by that."""
        for pod in list(self.pods.values()):
            await pod.delete()
        self.pods.clear()
