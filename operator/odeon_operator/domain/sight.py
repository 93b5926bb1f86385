"""What was seen of a pod becomes the domain's `Pod`, anew at every look.

Nothing here is remembered between looks: the API object, the last two readings and the drain record
say it all, so an operator that was restarted sees what the one before it saw.
"""

from dataclasses import dataclass
from datetime import datetime

from odeon_operator.domain.nodes import Notice, Toleration
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.reports import Report


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What the API server knows of a pod.

    Attributes:
        revision: resourceVersion; with the uid the precondition of every write.
        owner: uid of the pool that made it.
        marked: the value of its `state` label, written by the operator; None when it is missing.
        inert: none of its containers runs now: they have not started yet, crash, or cannot start.
        finished: its containers ended for good (phase Failed or Succeeded); nothing runs in it.
        failed: it is finished, and not because it succeeded.
        leaving: somebody deleted it; it has its grace period left.
        tolerations: of taints of nodes.
        notice: why it has to leave its node, by what is known of that.
    """

    namespace: str
    name: str
    uid: str
    revision: str
    owner: str
    index: int
    created: datetime
    version: str = ""
    node: str = ""
    marked: PodState | None = None
    healthy: bool = True
    inert: bool = False
    finished: bool = False
    failed: bool = False
    leaving: bool = False
    tolerations: tuple[Toleration, ...] = ()
    notice: Notice | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """One report as it came from a pod.

    Attributes:
        run: random at each start of the pod's process.
        ready: it could take work.
        slots_total: zero where slots mean nothing.
    """

    report: Report
    run: str
    ready: bool = True
    slots_total: float = 0.0


@dataclass(frozen=True, slots=True)
class Readings:
    """The last two readings of one run of a pod's process."""

    latest: Heard | None = None
    earlier: Heard | None = None

    def then(self, heard: Heard) -> "Readings":
        """With one more. Readings of an earlier run say nothing of this one."""
        same_run = self.latest is not None and self.latest.run == heard.run
        return Readings(heard, self.latest if same_run else None)


@dataclass(frozen=True, slots=True)
class DrainRecord:
    """The wish that a pod takes no new work, as it stands in KV.

    Attributes:
        asked: names this drain; the pod repeats it, and only the drain that was read is withdrawn.
        hand_over: the pod gives what it runs to others, too.
    """

    asked: datetime
    reason: str = ""
    hand_over: bool = False


def pod_of(facts: PodFacts, readings: Readings, record: DrainRecord | None) -> Pod:
    """A pod as decisions see it.

    A pod that is leaving or finished keeps its place in the pool until it is gone, but takes no
    work and cannot be taken back: it counts as draining and unhealthy.
    """
    lost = facts.leaving or facts.finished
    asked = record.asked if record is not None and not lost else None
    latest, earlier = readings.latest, readings.earlier
    return Pod(
        name=facts.name,
        uid=facts.uid,
        index=facts.index,
        state=PodState.DRAINING if lost else _state(facts, latest, record),
        created=facts.created,
        version=facts.version,
        node=facts.node,
        healthy=facts.healthy and not lost,
        inert=facts.inert and not lost,
        report=latest.report if latest is not None else None,
        earlier=earlier.report if earlier is not None else None,
        drain_asked=asked,
        drain_acked=acknowledged(readings, asked),
        handing_over=asked is not None and record is not None and record.hand_over,
        notice=facts.notice if not lost else None,
    )


def may_go(facts: PodFacts) -> bool:
    """Whether what was decided of a draining pod may be carried out on its API object.

    Its label must say draining too, at the very revision that is the precondition of the deletion:
    whoever takes a draining pod back changes the label first, so that of two operators that decide
    at the same moment one fails, and no pod that took work again is deleted.
    """
    return facts.marked is PodState.DRAINING and not facts.leaving


def _state(facts: PodFacts, latest: Heard | None, record: DrainRecord | None) -> PodState:
    if record is not None or (facts.marked is PodState.DRAINING and latest is None):
        return PodState.DRAINING
    if latest is None:
        # Nothing is heard, but it served before: it is silent, not new, and what it carries is
        # unknown, not zero. Else an operator that starts while NATS is away would drain it.
        served = facts.marked in (PodState.READY, PodState.ALLOCATED)
        return facts.marked if served and facts.marked is not None else PodState.STARTING
    if not latest.report.idle:
        return PodState.ALLOCATED
    return PodState.READY if latest.ready else PodState.STARTING


def acknowledged(readings: Readings, asked: datetime | None) -> datetime | None:
    """When a pod first said, in its last two readings, that it obeys this drain."""
    if asked is None:
        return None
    for heard in (readings.earlier, readings.latest):
        if heard is not None and heard.report.obeys == asked:
            return heard.report.at
    return None
