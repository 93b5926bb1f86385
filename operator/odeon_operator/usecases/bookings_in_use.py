"""What is known of bookings while a pool is decided on, and where what was decided is told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from odeon_operator.domain.booking_status import PoolView, asleep_view
from odeon_operator.domain.bookings import Booking, asleep
from odeon_operator.domain.cold_start import ColdStarts, lead
from odeon_operator.domain.policy import Policy
from odeon_operator.domain.reports import Metric
from odeon_operator.ports import Audiences, BookingFacts, PoolFacts, PoolRef

Note = Callable[[PoolRef, Mapping[str, PoolView]], None]
SORTED_FOR = timedelta(seconds=30)
"""So long those that ask for nothing are left alone before they are looked at again."""


def _tell_nobody(_pool: PoolRef, _views: Mapping[str, PoolView]) -> None:
    """Nobody asked."""


@dataclass(frozen=True, slots=True)
class _Sorting:
    """Bookings of a pool: those that matter now, and what there is to say of the others."""

    of: tuple[Booking, ...]
    p95: timedelta
    at: datetime
    near: tuple[Booking, ...]
    others: Mapping[str, PoolView]


class BookingsInUse:
    """What events use, as far as anybody tells.

    Args:
        facts: jobs of events; None: nobody tells.
        audiences: viewers of events; None: nobody tells.
        note: takes what each pool says of its bookings.
    """

    def __init__(
        self,
        facts: BookingFacts | None = None,
        audiences: Audiences | None = None,
        note: Note = _tell_nobody,
    ) -> None:
        self._facts = facts
        self._audiences = audiences
        self._note = note
        self._sorted: dict[PoolRef, _Sorting] = {}

    def known(
        self, pool: PoolFacts, policy: Policy, starts: ColdStarts, now: datetime
    ) -> tuple[Booking, ...]:
        """The bookings that matter now, with what they use; what is not known is left out."""
        sorting, p95 = self._sorted.get(pool.ref), starts.quantile(95)
        if (
            sorting is None
            or sorting.of is not pool.bookings
            or sorting.p95 != p95
            or not timedelta(0) <= now - sorting.at < SORTED_FOR
        ):
            sorting = _sort(pool.bookings, policy, starts, now)
            self._sorted[pool.ref] = sorting
        return tuple(self._with_use(one) for one in sorting.near)

    def note(self, pool: PoolRef, views: Mapping[str, PoolView]) -> None:
        """A pool was decided on; what it says of the bookings that matter now."""
        others = self._sorted[pool].others if pool in self._sorted else {}
        self._note(pool, {**others, **views})

    def forget(self, pool: PoolRef) -> None:
        """A pool is gone."""
        self._sorted.pop(pool, None)

    def _with_use(self, booking: Booking) -> Booking:
        actual: dict[Metric, Fraction] = {}
        jobs = self._facts.running(booking.name) if self._facts is not None else None
        if jobs is not None:
            slots = (booking.costs.get(p, Fraction(1)) * count for p, count in jobs.items())
            actual[Metric.ACTIVE_TRANSCODES] = sum(slots, Fraction(0))
        viewers = self._audiences.viewers(booking.name) if self._audiences is not None else None
        if viewers is not None and booking.followed:
            actual[Metric.VIEWERS] = Fraction(viewers)
        return replace(booking, actual=actual) if actual else booking


def _sort(
    bookings: Sequence[Booking], policy: Policy, starts: ColdStarts, now: datetime
) -> _Sorting:
    # Twice as far as this sorting holds: nothing may begin to matter unseen.
    ahead, near = policy.predictive.horizon + 2 * SORTED_FOR, []
    others: dict[str, PoolView] = {}
    for booking in bookings:
        early = lead(booking.lead or policy.events.lead, starts, policy.events.safety)
        phase = asleep(booking, policy.events, lead=early, ahead=ahead, now=now)
        if phase is None:
            near.append(booking)
        else:
            others[booking.name] = asleep_view(booking, policy.events, phase, early)
    return _Sorting(tuple(bookings), starts.quantile(95), now, tuple(near), others)
