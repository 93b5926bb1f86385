"""A cluster in miniature: pods that start slowly, sessions that come, stay and leave.

Pods are the operator's own values and go through their life by its own functions; so the simulator
also tries those. Time is handed in.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from random import Random

from odeon_operator.domain import pods as life
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.reports import Report
from odeon_operator.domain.selection import Scheduling

_NODE_PODS = 4


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a simulated cluster is like.

    Attributes:
        per_pod: sessions that a pod carries.
        hands_over: sessions of a draining pod move to others.
        scheduling: whether sessions go to the fullest pod or to the emptiest.
        cold_start_s: median seconds from creation to ready; single pods differ by up to a quarter.
        session_s: mean length of a session; sessions that end are replaced while the load stays.
        seed: of everything that is random.
    """

    per_pod: int
    hands_over: bool
    scheduling: Scheduling
    cold_start_s: float
    session_s: float
    seed: int


class World:
    """Pods, their sessions, and those who wait for one."""

    def __init__(self, conditions: Conditions, *, reports: bool) -> None:
        self.conditions = conditions
        self._reports = reports
        self.pods: dict[str, Pod] = {}
        self.sessions: dict[str, int] = {}
        self.waiting = 0
        self.killed = 0
        self.cold_starts: list[float] = []
        self._ready_at: dict[str, datetime] = {}
        self._random = Random(conditions.seed)
        self._ended = 0.0
        self._created = 0

    @property
    def capacity(self) -> int:
        """Sessions that pods which take work can carry."""
        return len(self._open()) * self.conditions.per_pod

    def create(self, index: int, now: datetime) -> None:
        """Accept a pod."""
        self._created += 1
        uid = f"{index}-{self._created}"
        node = f"node-{index // _NODE_PODS}"
        self.pods[uid] = Pod(f"pod-{index}", uid, index, PodState.STARTING, now, node=node)
        takes = self.conditions.cold_start_s * self._random.uniform(0.75, 1.25)
        self._ready_at[uid] = now + timedelta(seconds=takes)
        self.sessions[uid] = 0

    def delete(self, uid: str) -> None:
        """Delete a pod. Its sessions are cut and come back to the queue."""
        cut = self.sessions.pop(uid)
        self.killed += cut
        self.waiting += cut
        del self.pods[uid]
        del self._ready_at[uid]

    def change(self, uids: Iterable[str], now: datetime, *, drain: bool) -> None:
        """Ask pods to drain, or take them back."""
        for uid in uids:
            pod = self.pods[uid]
            self.pods[uid] = life.drain_asked(pod, now) if drain else life.undrained(pod)

    def advance(self, now: datetime, load: int, elapsed_s: float) -> None:
        """Let time pass until the load is what the trace says; then pods report, if it is read."""
        self._acknowledge(now)
        self._become_ready(now)
        self._end_sessions(load, elapsed_s)
        self.waiting = max(0, load - sum(self.sessions.values()))
        self._hand_over()
        self._admit()
        if self._reports:
            self._report(now)

    def _acknowledge(self, now: datetime) -> None:
        for uid, pod in self.pods.items():
            if pod.state is PodState.DRAINING and self._ready_at[uid] <= now:
                self.pods[uid] = life.drain_acked(pod, now)

    def _become_ready(self, now: datetime) -> None:
        for uid, pod in self.pods.items():
            if pod.state is PodState.STARTING and self._ready_at[uid] <= now:
                self.pods[uid] = replace(pod, state=PodState.READY)
                self.cold_starts.append((self._ready_at[uid] - pod.created).total_seconds())

    def _end_sessions(self, load: int, elapsed_s: float) -> None:
        running = sum(self.sessions.values())
        self._ended += running * elapsed_s / self.conditions.session_s
        churn = int(self._ended)
        self._ended -= churn
        ending = min(running, max(churn, running - load))
        shares = {uid: ending * n // running for uid, n in self.sessions.items()} if running else {}
        for uid, share in shares.items():
            self.sessions[uid] -= share
        for _ in range(ending - sum(shares.values())):
            some = [uid for uid, n in self.sessions.items() if n]
            weights = [self.sessions[uid] for uid in some]
            self.sessions[self._random.choices(some, weights)[0]] -= 1

    def _hand_over(self) -> None:
        if not self.conditions.hands_over:
            return
        free = self.capacity - sum(self.sessions[uid] for uid in self._open())
        for uid, pod in self.pods.items():
            if pod.state is PodState.DRAINING:
                moved = min(self.sessions[uid], max(0, free - self.waiting))
                self.sessions[uid] -= moved
                self.waiting += moved

    def _admit(self) -> None:
        packed = self.conditions.scheduling is Scheduling.PACKED
        order = sorted(self._open(), key=lambda uid: self.sessions[uid], reverse=packed)
        for uid in order:
            taken = min(self.waiting, self.conditions.per_pod - self.sessions[uid])
            self.sessions[uid] += taken
            self.waiting -= taken

    def _report(self, now: datetime) -> None:
        for uid, pod in self.pods.items():
            if self._ready_at[uid] <= now:
                n = self.sessions[uid]
                obeys = pod.drain_asked if pod.drain_acked is not None else None
                said = Report(now, sessions=n, slots=n, viewers=n, obeys=obeys)
                self.pods[uid] = life.reported(pod, said)

    def _open(self) -> list[str]:
        taking = (PodState.READY, PodState.ALLOCATED)
        return [uid for uid, pod in self.pods.items() if pod.state in taking]
