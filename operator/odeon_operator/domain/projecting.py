"""Bookings of the product as LiveEvents of the cluster: which there should be, and which go.

Level-triggered: what is told of all bookings is held against what stands. That nothing is told of a
booking is never a reason to delete one: whoever tells may be away, or may have lost what it knew.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

TTL = timedelta(hours=1)
"""A projected LiveEvent stays this long after its end: an hour for whoever asks how it went."""
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_HASH = 8
SHORTEST = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class BookingFact:
    """What room tells of one booking: all of it.

    Attributes:
        start, end: as planned.
        started, ended: when it really did.
        cancelled: it was ended without having begun.
        expected, running: jobs by profile: that it will need, and that are on a worker.
    """

    tenant: str
    event: str
    start: datetime
    end: datetime
    started: datetime | None = None
    ended: datetime | None = None
    cancelled: bool = False
    viewers: int = 0
    registrations: int = 0
    expected: tuple[tuple[str, int], ...] = ()
    running: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class EventSpec:
    """What a LiveEvent says that was made of a booking."""

    tenant: str
    start: datetime
    end: datetime
    started: datetime | None = None
    ended: datetime | None = None
    cancelled: bool = False
    viewers: int = 0
    registrations: int = 0
    transcodes: tuple[tuple[str, int], ...] = ()
    ttl: timedelta = TTL


@dataclass(frozen=True, slots=True, order=True)
class EventRef:
    """Names a LiveEvent."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class StandingEvent:
    """A LiveEvent as the cluster has it.

    Attributes:
        projected: it was made of a booking, and nobody else may have made it.
        spec: None when it cannot be read as one that was made of a booking.
        finished: when it is over, or will be as far as is known; None while that is open.
        ttl: how long it stays after that; None for ever.
    """

    ref: EventRef
    uid: str
    revision: str
    projected: bool
    spec: EventSpec | None
    finished: datetime | None
    ttl: timedelta | None = None
    leaving: bool = False

    def outlived(self, now: datetime) -> bool:
        """Whether its time after its end is up."""
        if self.ttl is None or self.finished is None:
            return False
        return now >= self.finished + self.ttl


@dataclass(frozen=True, slots=True)
class Projection:
    """What is to be done.

    Attributes:
        make: LiveEvents that are missing.
        change: those that say something else.
        delete: those that have outlived their time, or whose booking is shown elsewhere now.
        taken: names that somebody else's LiveEvents have.
        unnamed: bookings for which there can be no name in a cluster.
    """

    make: Mapping[EventRef, EventSpec] = field(default_factory=dict)
    change: Sequence[tuple[StandingEvent, EventSpec]] = ()
    delete: Sequence[StandingEvent] = ()
    taken: Sequence[EventRef] = ()
    unnamed: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class Places:
    """Where bookings are shown.

    Attributes:
        home: the namespace of whoever has none of its own.
        own: namespaces by tenant, in their order.
        watched: the only namespace that is looked at; empty: all are.
    """

    home: str
    own: Mapping[str, Sequence[str]] = field(default_factory=dict)
    watched: str = ""

    def of(self, tenant: str) -> str | None:
        """Where the bookings of a tenant are shown: in the first of its namespaces.

        None where none of them is looked at here: whoever looks at them shows them.
        """
        mine = self.own.get(tenant)
        if not mine:
            return self.home
        seen = [n for n in mine if not self.watched or n == self.watched]
        return seen[0] if seen else None

    def admits(self, tenant: str, namespace: str) -> bool:
        """Whether what stands in a namespace may be a tenant's.

        A namespace that a tenant has is nobody else's; a tenant that has some is in no other.
        """
        mine = self.own.get(tenant)
        if mine:
            return namespace in mine
        return not any(namespace in theirs for theirs in self.own.values())


def name_of(tenant: str, event: str) -> str | None:
    """Name of the LiveEvent of a booking; None for a tenant that no name can tell.

    Ids of rooms' events may end in a hyphen, names in a cluster may not.
    """
    if not _NAME.fullmatch(tenant):
        return None
    if _NAME.fullmatch(event):
        return f"{tenant}.{event}"
    digest = hashlib.sha256(event.encode()).hexdigest()[:_HASH]
    return f"{tenant}.{event.rstrip('-') or 'x'}.{digest}"


def spec_of(fact: BookingFact) -> EventSpec:
    """What the LiveEvent of a booking says."""
    return EventSpec(
        tenant=fact.tenant,
        start=fact.start,
        # A booking that makes no sense must not make all others wait.
        end=max(fact.end, fact.start + SHORTEST),
        started=fact.started,
        ended=fact.ended,
        cancelled=fact.cancelled,
        viewers=fact.viewers,
        registrations=fact.registrations,
        transcodes=tuple(sorted(fact.expected)),
    )


def finished(
    *,
    end: datetime,
    started: datetime | None = None,
    ended: datetime | None = None,
) -> datetime | None:
    """When an event is over, or will be; None while it runs and nobody says."""
    if ended is not None:
        return ended
    return None if started is not None else end


def project(
    facts: Collection[BookingFact],
    standing: Iterable[StandingEvent],
    places: Places,
    now: datetime,
) -> Projection:
    """Hold what is told against what stands."""
    shown, wanted, unnamed = _wanted(facts, places)
    by_ref = {one.ref: one for one in standing if not one.leaving}
    change: list[tuple[StandingEvent, EventSpec]] = []
    delete, taken = [], []
    for one in by_ref.values():
        spec = wanted.pop(one.ref, None)
        over = spec is not None and _outlived(spec, now)
        if spec is not None and not over and one.projected:
            # What the booking says decides, whatever its object said: it may have been moved.
            if one.spec != spec:
                change.append((one, spec))
            continue
        if spec is not None and not over:
            taken.append(one.ref)
        elsewhere = shown.get(one.ref.name, one.ref.namespace) != one.ref.namespace
        if one.outlived(now) or (one.projected and (over or elsewhere)):
            delete.append(one)
    make = {ref: spec for ref, spec in wanted.items() if not _outlived(spec, now)}
    return Projection(make, change, delete, taken, unnamed)


def _wanted(
    facts: Collection[BookingFact], places: Places
) -> tuple[dict[str, str | None], dict[EventRef, EventSpec], list[tuple[str, str]]]:
    """Namespaces by name, what is wanted there, and what has no name."""
    shown: dict[str, str | None] = {}
    wanted: dict[EventRef, EventSpec] = {}
    unnamed = []
    for fact in facts:
        name, where = name_of(fact.tenant, fact.event), places.of(fact.tenant)
        if name is None:
            unnamed.append((fact.tenant, fact.event))
            continue
        shown[name] = where
        if where is not None:
            wanted[EventRef(where, name)] = spec_of(fact)
    return shown, wanted, unnamed


def _outlived(spec: EventSpec, now: datetime) -> bool:
    over = finished(end=spec.end, started=spec.started, ended=spec.ended)
    return over is not None and now >= over + spec.ttl
