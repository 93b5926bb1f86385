"""Which pool is looked at when: soon after a change, never twice at once, and now and then.

The queue of a level-triggered controller (client-go `util/workqueue`): a pool that is named while
it is looked at is looked at once more, however often it was named.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from odeon_runtime.logs import logger

from odeon_operator.ports import Clock, PoolRef
from odeon_operator.usecases import meters

Look = Callable[[PoolRef], Awaitable[timedelta | None]]
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Times in seconds.

    Attributes:
        settle: after a change, so that what comes together is looked at together.
        gap: between two looks at the same pool.
        retry, longest_retry: after a look that failed, twice as long each time.
    """

    settle: float = 0.02
    gap: float = 0.2
    retry: float = 1.0
    longest_retry: float = 60.0


class Rounds:
    """Says which pool is to be looked at, and looks."""

    def __init__(self, look: Look, clock: Clock, *, rhythm: Rhythm | None = None) -> None:
        self._look = look
        self._clock = clock
        self._rhythm = rhythm or Rhythm()
        self._due: dict[PoolRef, float] = {}
        self._named: dict[PoolRef, float] = {}
        self._began: dict[PoolRef, float] = {}
        self._failures: dict[PoolRef, int] = {}
        self._busy: set[PoolRef] = set()
        self._turn = asyncio.Lock()
        self._earlier = asyncio.Event()

    def concerns(self, ref: PoolRef) -> None:
        """Something that concerns a pool changed."""
        now = self._clock.monotonic()
        self._named.setdefault(ref, now)
        earliest = self._began.get(ref, 0.0) + self._rhythm.gap
        self._at(ref, max(now + self._rhythm.settle, earliest))

    @property
    def lag(self) -> float:
        """Seconds that the pool which waits longest is overdue, or is being looked at for."""
        now = self._clock.monotonic()
        waits = [now - due for ref, due in self._due.items() if ref not in self._busy]
        takes = [now - self._began[ref] for ref in self._busy]
        return max([0.0, *waits, *takes])

    async def work(self) -> None:
        """Look at pools for ever; several tasks may do so."""
        while True:
            ref = await self._next()
            again: timedelta | None = None
            began = self._clock.monotonic()
            self._began[ref] = began
            if (named := self._named.pop(ref, None)) is not None:
                meters.DECISION_SECONDS.observe(began - named)
            try:
                again = await self._look(ref)
                self._failures.pop(ref, None)
                meters.RECONCILES.labels("done").inc()
            except Exception as error:
                # One pool that cannot be looked at must not stop the others.
                again = self._patience(ref)
                meters.RECONCILES.labels("failed").inc()
                _log.error("reconcile_failed", pool=ref.name, kind=ref.kind, exc_info=error)
            finally:
                self._busy.discard(ref)
                # It may have been named meanwhile.
                self._earlier.set()
            meters.RECONCILE_SECONDS.observe(self._clock.monotonic() - began)
            if again is not None:
                self._at(ref, self._clock.monotonic() + again.total_seconds())
            elif ref not in self._due:
                self._began.pop(ref, None)

    def _patience(self, ref: PoolRef) -> timedelta:
        failures = self._failures.get(ref, 0)
        self._failures[ref] = failures + 1
        wait = self._rhythm.retry * 2.0 ** min(failures, 10)
        return timedelta(seconds=min(wait, self._rhythm.longest_retry))

    def _at(self, ref: PoolRef, due: float) -> None:
        if ref not in self._due or due < self._due[ref]:
            self._due[ref] = due
            self._earlier.set()

    async def _next(self) -> PoolRef:
        """The pool that is due first, when it is; one worker at a time waits for it."""
        async with self._turn:
            while True:
                self._earlier.clear()
                waiting = {r: due for r, due in self._due.items() if r not in self._busy}
                ref = min(waiting, key=lambda r: waiting[r], default=None)
                left = waiting[ref] - self._clock.monotonic() if ref is not None else None
                if ref is not None and left is not None and left <= 0:
                    del self._due[ref]
                    self._busy.add(ref)
                    return ref
                with suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await self._earlier.wait()
