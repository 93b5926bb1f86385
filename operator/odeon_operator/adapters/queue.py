"""Jobs that wait for a transcoder, as JetStream counts them."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Mapping

import nats.errors
import nats.js.errors
from odeon_runtime import subjects
from odeon_runtime.bus import Bus
from odeon_runtime.errors import InvalidArgument
from odeon_runtime.logs import logger
from odeon_runtime.subjects import Subject

from odeon_operator.ports import Clock

_EVERY_S = 2.0
_FRESH_S = 10.0
"""A queue that was not read for so long is not known."""
_TIMEOUT_S = 2.0
_NO_STREAM = 10059
_FAILURES = (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError)
_log = logger(__name__)


class OfferQueue:
    """The work queue of transcoders.

    An offer is there for a moment even where somebody is free to take it; one that two readings in
    a row have seen waits.

    Args:
        changed: called when other jobs wait than before.
    """

    def __init__(
        self, bus: Bus, clock: Clock, changed: Callable[[], None], *, every_s: float = _EVERY_S
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._changed = changed
        self._every_s = every_s
        self._offered: Collection[str] = ()
        self._waiting: Mapping[str, int] = {}
        self._read_at: float | None = None
        self._trouble = ""

    async def follow(self) -> None:
        """Read it again and again, for ever."""
        while True:
            await self._bus.connected.wait()
            try:
                await self.read()
                self._trouble = ""
            except _FAILURES as error:
                trouble = f"{type(error).__name__}: {error}"
                if trouble != self._trouble:
                    _log.warning("queue_unknown", error=trouble)
                self._trouble = trouble
            await asyncio.sleep(self._every_s)

    def waiting(self) -> Mapping[str, int] | None:
        """See `ports.Queue`."""
        if self._read_at is None or self._clock.monotonic() - self._read_at > _FRESH_S:
            return None
        return self._waiting

    async def read(self) -> None:
        """Read it once; raises what NATS says."""
        offered = await self._subjects()
        jobs = Counter(tenant for s in offered if s in self._offered and (tenant := _tenant(s)))
        known, waiting = self.waiting() is not None, dict(jobs)
        self._offered, self._read_at = offered, self._clock.monotonic()
        if waiting != self._waiting or not known:
            self._waiting = waiting
            self._changed()

    async def _subjects(self) -> Collection[str]:
        jetstream = self._bus.client.jetstream(timeout=_TIMEOUT_S)
        try:
            info = await jetstream.stream_info(
                subjects.WORK_STREAM, subjects_filter=subjects.JOB_OFFERS
            )
        except nats.js.errors.NotFoundError as error:
            if error.err_code != _NO_STREAM:
                raise
            # Nobody has ever offered anything.
            return frozenset()
        return frozenset(info.state.subjects or ())


def _tenant(subject: str) -> str:
    try:
        return Subject.parse(subject).tenant
    except InvalidArgument:
        return ""
