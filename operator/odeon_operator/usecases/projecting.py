"""Bookings of the product become LiveEvents; LiveEvents whose time is up go."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from odeon_runtime.logs import logger
from odeon_runtime.tasks import wait_for

from odeon_operator.domain.projecting import project
from odeon_operator.ports import (
    BookingFacts,
    Clock,
    Lease,
    LiveEvents,
    Outdated,
    Refused,
    Unreachable,
)

_AT_ONCE = 8
"""Writes at a time: a day of bookings is made in seconds, and the API server serves others, too."""
_SETTLE_S = 0.1
"""What is told together is looked at together."""
_log = logger(__name__)


class Projecting:
    """Holds what is booked against the LiveEvents that stand."""

    def __init__(
        self,
        events: LiveEvents,
        facts: BookingFacts,
        lease: Lease,
        *,
        clock: Clock,
        every_s: float,
    ) -> None:
        self._events = events
        self._facts = facts
        self._lease = lease
        self._clock = clock
        self._every_s = every_s
        self._concerned = asyncio.Event()
        self._said: set[str] = set()

    def concerns(self) -> None:
        """A booking, a LiveEvent or a tenant is another one."""
        self._concerned.set()

    async def run(self) -> None:
        """Look for ever: after changes, and now and then because times run out."""
        while True:
            self._concerned.clear()
            if self._lease.held:
                await self.look()
            await wait_for(self._concerned, self._every_s)
            await asyncio.sleep(_SETTLE_S)

    async def look(self) -> int:
        """Look once; returns how many writes were tried."""
        places = self._events.places()
        found = project(self._facts.facts(), self._events.standing(), places, self._clock.now())
        for ref in found.taken:
            self._once(f"{ref.namespace}/{ref.name}", "booking_name_taken", name=ref.name)
        for tenant, event in found.unnamed:
            self._once(f"{tenant} {event}", "booking_unnamed", tenant=tenant, event_id=event)
        # Of ten thousand that are missing the one of this minute must not be the last.
        soonest = sorted(found.make.items(), key=lambda item: item[1].start)
        writes: list[Callable[[], Awaitable[None]]] = [
            *(partial(self._events.make, ref, spec) for ref, spec in soonest),
            *(partial(self._events.change, one, spec) for one, spec in found.change),
            *(partial(self._events.delete, one) for one in found.delete),
        ]
        for first in range(0, len(writes), _AT_ONCE):
            if not self._lease.held:
                break
            done = await asyncio.gather(*(self._try(w) for w in writes[first : first + _AT_ONCE]))
            if not all(done):
                # The API server is away: what is left comes at the next look.
                break
        return len(writes)

    async def _try(self, write: Callable[[], Awaitable[None]]) -> bool:
        try:
            await write()
        except Outdated as error:
            # It is another one by now, of which the watch will tell.
            _log.info("live_event_outdated", error=str(error))
        except Refused as error:
            self._once(str(error), "live_event_refused", error=str(error))
        except Unreachable as error:
            _log.warning("unreachable", error=str(error))
            return False
        return True

    def _once(self, key: str, event: str, **about: str) -> None:
        if key not in self._said:
            self._said.add(key)
            _log.warning(event, **about)
