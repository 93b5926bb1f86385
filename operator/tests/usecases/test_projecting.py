"""Bookings become LiveEvents, as far as the API server and the lease allow."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from odeon_operator.domain.booking_status import EventStatus, EventSubject
from odeon_operator.domain.projecting import (
    BookingFact,
    EventRef,
    EventSpec,
    Places,
    StandingEvent,
)
from odeon_operator.ports import Refused, SeenEvent, Unreachable
from odeon_operator.usecases.projecting import Projecting
from odeon_testkit.fleet import T0, HeldLease, ManualClock

HOUR = timedelta(hours=1)


class Facts:
    def __init__(self, facts: Collection[BookingFact]) -> None:
        self._facts = facts

    def facts(self) -> Collection[BookingFact]:
        return self._facts

    def running(self, name: str) -> Mapping[str, int] | None:
        return None


class Cluster:
    """An API server that takes LiveEvents, until it is away."""

    def __init__(self, lease: HeldLease, *, most: int = 1000, refused: str = "") -> None:
        self.made: list[str] = []
        self.lease_lost_after = most
        self.away_after = most
        self._lease = lease
        self._refused = refused

    def places(self) -> Places:
        return Places("odeon")

    def standing(self) -> Collection[StandingEvent]:
        return ()

    def seen(self) -> Sequence[SeenEvent]:
        return ()

    def subject(self, event: SeenEvent) -> EventSubject | None:
        return None

    async def make(self, ref: EventRef, spec: EventSpec) -> None:
        if ref.name == self._refused:
            raise Refused("a quota")
        if len(self.made) >= self.away_after:
            raise Unreachable("away")
        self.made.append(ref.name)
        self._lease.held = len(self.made) < self.lease_lost_after

    async def change(self, event: StandingEvent, spec: EventSpec) -> None:
        raise AssertionError("nothing stands")

    async def delete(self, event: StandingEvent) -> None:
        raise AssertionError("nothing stands")

    async def write_status(self, event: SeenEvent, status: EventStatus) -> EventStatus | None:
        raise AssertionError("nothing stands")


def bookings(count: int) -> list[BookingFact]:
    """The later the earlier told."""
    starts = [T0 + number * HOUR for number in range(count, 0, -1)]
    return [BookingFact("acme", f"e{n}", s, s + HOUR) for n, s in enumerate(starts)]


def projecting(cluster: Cluster, lease: HeldLease, facts: list[BookingFact]) -> Projecting:
    return Projecting(cluster, Facts(facts), lease, clock=ManualClock(), every_s=5)


async def test_of_many_bookings_the_soonest_are_shown_first() -> None:
    lease = HeldLease()
    cluster = Cluster(lease)

    await projecting(cluster, lease, bookings(20)).look()

    assert cluster.made[:2] == ["acme.e19", "acme.e18"]
    assert len(cluster.made) == 20


async def test_who_lost_the_lease_stops_within_a_handful_of_writes() -> None:
    lease = HeldLease()
    cluster = Cluster(lease)
    cluster.lease_lost_after = 3

    await projecting(cluster, lease, bookings(100)).look()

    assert 3 <= len(cluster.made) <= 8


async def test_what_the_api_server_does_not_take_stops_nobody_else() -> None:
    lease = HeldLease()
    cluster = Cluster(lease, refused="acme.e19")

    await projecting(cluster, lease, bookings(20)).look()

    assert len(cluster.made) == 19


async def test_an_api_server_that_is_away_is_not_asked_for_the_rest() -> None:
    lease = HeldLease()
    cluster = Cluster(lease)
    cluster.away_after = 10

    tried = await projecting(cluster, lease, bookings(100)).look()

    assert (tried, len(cluster.made)) == (100, 10)
