"""What is known of bookings while a pool is decided on, and where what was decided is told."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from odeon_operator.domain.booking_status import PoolView
from odeon_operator.domain.bookings import Booking
from odeon_operator.domain.reports import Metric
from odeon_operator.ports import Audiences, BookingFacts, PoolRef

Note = Callable[[PoolRef, Mapping[str, PoolView]], None]


def _tell_nobody(_pool: PoolRef, _views: Mapping[str, PoolView]) -> None:
    """Nobody asked."""


@dataclass(frozen=True, slots=True)
class BookingsInUse:
    """What events use, as far as anybody tells.

    Attributes:
        facts: jobs of events; None: nobody tells.
        audiences: viewers of events; None: nobody tells.
        note: takes what each pool says of its bookings.
    """

    facts: BookingFacts | None = None
    audiences: Audiences | None = None
    note: Note = _tell_nobody

    def known(self, bookings: Sequence[Booking]) -> tuple[Booking, ...]:
        """The bookings with what they use now; what is not known of one is left out."""
        return tuple(self._with_use(one) for one in bookings)

    def _with_use(self, booking: Booking) -> Booking:
        actual: dict[Metric, Fraction] = {}
        jobs = self.facts.running(booking.name) if self.facts is not None else None
        if jobs is not None:
            slots = (booking.costs.get(p, Fraction(1)) * count for p, count in jobs.items())
            actual[Metric.ACTIVE_TRANSCODES] = sum(slots, Fraction(0))
        viewers = self.audiences.viewers(booking.name) if self.audiences is not None else None
        if viewers is not None and booking.followed:
            actual[Metric.VIEWERS] = Fraction(viewers)
        return replace(booking, actual=actual) if actual else booking
