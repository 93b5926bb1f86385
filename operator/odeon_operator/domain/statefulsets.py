"""How a StatefulSet with `OnDelete` moves to its new template: one pod at a time, empty ones first.

```
 old pod ─► asked to drain ─► obeys, and two readings of zero ─► deleted ─► new pod serves ─► next
    └── (WhenIdle: nobody can take over) ─► two readings of zero ─────┘
```
Nothing else goes while a pod is on its way, is missing, or came up with the new template and does
not serve: a template that is bad stops with the first pod. Any doubt keeps a pod, as in a pool.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from odeon_operator.domain.pods import Doubt, Pod, PodState, why_keep
from odeon_operator.domain.reports import fresh
from odeon_operator.domain.sight import DrainRecord, Readings, acknowledged


class Way(StrEnum):
    """How a pod of a set is made to hold nothing."""

    DRAIN = "Drain"
    """It is asked to; others take what is new (signaling)."""
    WHEN_IDLE = "WhenIdle"
    """It is waited for: nobody else could take what it would refuse (recorder)."""


@dataclass(frozen=True, slots=True)
class Member:
    """One pod of a set.

    Attributes:
        ordinal: its number; the highest goes first, as everywhere in Kubernetes.
        uid, revision: what a deletion is bound to; `revision` is the resourceVersion.
        version: hash of the template it was made from.
        ready: its probes pass.
        running: a container of it runs; false for one that waits, crashes or has ended.
        leaving: somebody deleted it; it has its grace period left.
        marked: its label says that it drains, at this very revision. It is written after a drain
            was asked for and taken away before one is withdrawn, so that of two operators that
            decide at the same moment the one that deletes fails.
    """

    name: str
    ordinal: int
    uid: str
    revision: str
    version: str
    ready: bool = True
    running: bool = True
    leaving: bool = False
    marked: bool = False
    readings: Readings = field(default_factory=Readings)
    drain: DrainRecord | None = None

    @property
    def serves(self) -> bool:
        """It is there for others: ready, and it says itself that it can take work."""
        latest = self.readings.latest
        return self.ready and not self.leaving and latest is not None and latest.ready


@dataclass(frozen=True, slots=True)
class StatefulSet:
    """A set and its pods.

    Attributes:
        version: hash of its present template.
        patience: when a drain has lasted so long, the pod goes although it is not empty, if another
            one serves: it hands over what it has as it stops. None: never.
    """

    namespace: str
    name: str
    replicas: int
    version: str
    way: Way
    patience: timedelta | None = None
    members: tuple[Member, ...] = ()

    @property
    def only_waits(self) -> bool:
        """Its pods are asked nothing: what one refused, no other could take."""
        return self.way is Way.WHEN_IDLE or self.replicas < 2

    def serving(self, but: Member) -> Sequence[Member]:
        """The others that take work."""
        return [m for m in self.members if m is not but and m.serves and m.drain is None]


class Do(StrEnum):
    """What is done with a member."""

    ASK = "ask to drain"
    TAKE_BACK = "take back"
    DELETE = "delete"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Step:
    """The next step, and why; `member` is None when there is none to speak of."""

    do: Do
    why: str
    member: Member | None = None


def next_step(of: StatefulSet, *, now: datetime, stale_after: timedelta) -> Step:
    """What to do with a set now. One thing at a time, so that one look carries out one step."""
    for member in of.members:
        if member.drain is not None and member.version == of.version and not member.leaving:
            return Step(Do.TAKE_BACK, "it has the present template", member)
    outdated = [m for m in of.members if m.version != of.version]
    if not outdated:
        return Step(Do.NOTHING, "all pods have the present template")
    leaving = next((m for m in of.members if m.leaving), None)
    if leaving is not None:
        return Step(Do.NOTHING, f"{leaving.name} is on its way out", leaving)
    if len(of.members) < of.replicas:
        return Step(Do.NOTHING, f"{of.replicas - len(of.members)} of its pods are missing")
    for member in of.members:
        if member.version == of.version and not member.serves:
            return Step(
                Do.NOTHING, f"{member.name} has the new template and does not serve", member
            )
    return _replace(of, _first(outdated), now, stale_after)


def _first(outdated: Sequence[Member]) -> Member:
    """Who goes first: who was asked already, who carries least, the highest number."""
    return min(outdated, key=lambda m: (m.drain is None, m.running, m.ready, -m.ordinal))


def _replace(of: StatefulSet, member: Member, now: datetime, stale_after: timedelta) -> Step:
    if not member.running:
        return Step(Do.DELETE, "nothing runs in it", member)
    if of.only_waits:
        doubt = _why_wait(member, now, stale_after)
        if doubt is None:
            return Step(Do.DELETE, "it holds nothing", member)
        return Step(Do.NOTHING, doubt, member)
    if member.drain is not None and not member.marked:
        return Step(Do.ASK, "it was asked, and is not labelled yet", member)
    if member.drain is None:
        if not of.serving(member):
            return Step(Do.NOTHING, "no other pod takes what it would refuse", member)
        return Step(Do.ASK, "it has an earlier template", member)
    doubt = why_keep(_as_pod(member), now=now, stale_after=stale_after)
    if doubt is None:
        return Step(Do.DELETE, "it is empty", member)
    if _waited(of, member.drain, now) and of.serving(member):
        return Step(Do.DELETE, f"it drains since {member.drain.asked.isoformat()}", member)
    return Step(Do.NOTHING, doubt, member)


def _waited(of: StatefulSet, record: DrainRecord, now: datetime) -> bool:
    return of.patience is not None and now - record.asked >= of.patience


def _why_wait(member: Member, now: datetime, stale_after: timedelta) -> Doubt | None:
    """Why a pod that was asked nothing is kept; None when two readings say that it is empty."""
    latest, earlier = member.readings.latest, member.readings.earlier
    if any(heard is not None and not heard.report.idle for heard in (latest, earlier)):
        return Doubt.BUSY
    if latest is None or earlier is None:
        return Doubt.TOO_FEW_READINGS
    if not fresh(latest.report.at, now=now, stale_after=stale_after):
        return Doubt.STALE
    return None


def _as_pod(member: Member) -> Pod:
    """A member that drains, as the rules of pools' pods see it."""
    latest, earlier = member.readings.latest, member.readings.earlier
    asked = member.drain.asked if member.drain is not None else None
    return Pod(
        name=member.name,
        uid=member.uid,
        index=member.ordinal,
        state=PodState.DRAINING,
        created=asked or datetime.min,
        node="its own",
        report=latest.report if latest is not None else None,
        earlier=earlier.report if earlier is not None else None,
        drain_asked=asked,
        drain_acked=acknowledged(member.readings, asked),
    )
