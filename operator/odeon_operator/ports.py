"""What the use cases need from outside: the cluster, what pods report, a lease, a clock."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from odeon_operator.domain.booking_status import EventStatus, EventSubject
from odeon_operator.domain.bookings import Booking
from odeon_operator.domain.pods import PodState
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.projecting import (
    BookingFact,
    EventRef,
    EventSpec,
    Places,
    StandingEvent,
)
from odeon_operator.domain.sight import DrainRecord, PodFacts, Readings
from odeon_operator.domain.status import PoolStatus


class Unreachable(Exception):
    """The API server or NATS does not answer, or asks to wait. Nothing is known to have changed."""


class Outdated(Exception):
    """The object is not what it was when this was decided, or is gone: look again."""


class NameTaken(Exception):
    """A pod of that name belongs to somebody else."""


class Refused(Exception):
    """The API server will not have it, and will not have it next time either."""


@dataclass(frozen=True, slots=True, order=True)
class PoolRef:
    """Names a pool; a new one of the same name has another uid."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Scale:
    """What a pool's spec says of `replicas`, and who wrote it last.

    Attributes:
        replicas: None when nobody set it.
        writer: the field manager of whoever set it.
    """

    replicas: int | None = None
    writer: str = ""


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """A pool as the API server has it, joined with its policy and the events booked on it.

    Attributes:
        pool, policy: None when the spec cannot be used; `problem` says why.
        status: as it stands, by whoever wrote it; None when there is none or it cannot be read.
        tenant: whose it is alone; empty: everybody's.
        patience: how long its pods may drain before somebody should look.
        leaving: somebody deleted it.
    """

    ref: PoolRef
    uid: str
    generation: int
    pool: Pool | None
    policy: Policy | None
    problem: str = ""
    selector: str = ""
    scale: Scale = Scale()
    status: PoolStatus | None = None
    bookings: tuple[Booking, ...] = ()
    tenant: str = ""
    patience: timedelta = timedelta(minutes=10)
    leaving: bool = False


class Cluster(Protocol):
    """The API server, seen through indexes. Reads are of the present picture and never wait."""

    def pools(self) -> Collection[PoolRef]:
        """All pools."""
        ...

    def pool(self, ref: PoolRef) -> PoolFacts | None:
        """One pool; None when it is gone."""
        ...

    def pods(self, owner: str) -> Sequence[PodFacts]:
        """Pods that the pool of this uid owns, by index."""
        ...

    def alive(self) -> Collection[str]:
        """Uids of all pods of all pools."""
        ...

    def free(self, pool: PoolFacts) -> int | None:
        """Pods of the pool that nodes could take at once by their GPUs; None when not known."""
        ...

    async def create_pod(self, pool: PoolFacts, index: int) -> PodFacts:
        """Create the pod of this place, or adopt the one that the same pool owns already.

        Raises:
            NameTaken: another owner has the name.
            Refused: the template is not accepted.
            Unreachable: try again.
        """
        ...

    async def delete_pod(self, pod: PodFacts) -> None:
        """Delete exactly this pod as it was seen; one that is gone is no error.

        Raises:
            Outdated: it has changed since.
            Unreachable: try again.
        """
        ...

    async def mark_pod(self, pod: PodFacts, state: PodState) -> PodFacts:
        """Write the state label of exactly this pod as it was seen.

        Raises:
            Outdated: it has changed since, or is gone.
            Unreachable: try again.
        """
        ...

    async def write_status(self, pool: PoolFacts, status: PoolStatus) -> PoolStatus | None:
        """Write a pool's status; returns what the API server made of it.

        Raises:
            Outdated: the pool is gone, or another one has its name.
            Refused: the API server does not accept it.
            Unreachable: try again.
        """
        ...


@dataclass(frozen=True, slots=True)
class SeenEvent:
    """A LiveEvent that stands, in one of its versions."""

    ref: EventRef
    uid: str
    revision: str


class LiveEvents(Protocol):
    """LiveEvents of the cluster. Reads are of the present picture and never wait.

    Writes raise Outdated where another version stands by now, Refused, and Unreachable.
    """

    def places(self) -> Places:
        """Where bookings are shown, and who may have what where."""
        ...

    def standing(self) -> Collection[StandingEvent]:
        """All that stand."""
        ...

    def seen(self) -> Sequence[SeenEvent]:
        """Versions of all that stand."""
        ...

    def subject(self, event: SeenEvent) -> EventSubject | None:
        """What a status is about; None when it is gone."""
        ...

    async def make(self, ref: EventRef, spec: EventSpec) -> None:
        """Make one that is missing; Outdated where somebody else made one meanwhile."""
        ...

    async def change(self, event: StandingEvent, spec: EventSpec) -> None:
        """Have exactly this one say something else."""
        ...

    async def delete(self, event: StandingEvent) -> None:
        """Delete exactly this one as it was seen."""
        ...

    async def write_status(self, event: SeenEvent, status: EventStatus) -> EventStatus | None:
        """Write the status of exactly this one; returns what the API server made of it."""
        ...


class BookingFacts(Protocol):
    """What is booked in the product."""

    def facts(self) -> Collection[BookingFact]:
        """All that was told, also what was told before NATS went away."""
        ...

    def running(self, name: str) -> Mapping[str, int] | None:
        """Jobs by profile that run for the LiveEvent of this name; None when it is not known."""
        ...


class Queue(Protocol):
    """Work that nobody has taken yet."""

    def waiting(self) -> Mapping[str, int] | None:
        """Jobs that wait for a transcoder, by tenant; None when it is not known."""
        ...


class Audiences(Protocol):
    """Who watches what."""

    def viewers(self, name: str) -> int | None:
        """Viewers of the LiveEvent of this name; None when no edge is heard of."""
        ...


class Reports(Protocol):
    """What pods say and what they were told, keyed by the uid of the pod."""

    @property
    def current(self) -> bool:
        """Whether all that stands is known here now; false at the start and while NATS is away."""
        ...

    def readings(self, uid: str) -> Readings:
        """The last readings of a pod."""
        ...

    def drain(self, uid: str) -> DrainRecord | None:
        """The drain record of a pod."""
        ...

    async def ask_drain(self, uid: str, *, asked: datetime, reason: str) -> DrainRecord:
        """Write a drain record; one that stands already stays and is returned.

        Raises:
            Unreachable: it is not known to be stored.
        """
        ...

    async def ask_hand_over(self, uid: str, record: DrainRecord) -> DrainRecord:
        """Add to a drain record that the pod gives its work to others.

        Raises:
            Outdated: another one stands by now, or none.
            Unreachable: it is not known to be stored.
        """
        ...

    async def stands(self, uid: str, record: DrainRecord) -> bool:
        """Ask NATS itself whether this very record stands, whatever is known here.

        Raises:
            Unreachable: not known.
        """
        ...

    async def withdraw_drain(self, uid: str, record: DrainRecord) -> None:
        """Delete a drain record if it is still the one that was read.

        Raises:
            Outdated: another one stands by now.
            Unreachable: try again.
        """
        ...

    async def forget(self, uid: str) -> None:
        """Say that no drain of this pod stands, whatever did: it is gone, or obeys what is lost.

        Raises:
            Unreachable: try again.
        """
        ...

    def orphans(self, alive: Collection[str]) -> Sequence[str]:
        """Uids with a drain record that are none of these."""
        ...


class Lease(Protocol):
    """The right to act."""

    identity: str

    @property
    def held(self) -> bool:
        """Whether it was renewed recently enough to act now."""
        ...


class Clock(Protocol):
    """Time."""

    def now(self) -> datetime:
        """The present, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow."""
        ...
