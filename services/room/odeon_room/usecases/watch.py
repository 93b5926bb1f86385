"""Waking those who wait for a change of a job."""

import asyncio
from contextlib import suppress


class Changes:
    """Wakes waiters of a key. A missed wake-up costs them only until they look again."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}

    def tell(self, key: str) -> None:
        """Something about `key` changed."""
        event = self._events.pop(key, None)
        if event is not None:
            event.set()

    def waiter(self, key: str) -> asyncio.Event:
        """Is set at the next change; take it before looking, so that none is missed."""
        return self._events.setdefault(key, asyncio.Event())

    async def wait(self, event: asyncio.Event, timeout_s: float) -> None:
        """Until the change, or the timeout."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await event.wait()
