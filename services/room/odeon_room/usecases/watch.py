"""Waking those who wait for a change."""

import asyncio

from odeon_runtime.tasks import wait_for

ANY = ""
"""The key of those who wait for whatever changes."""


class Changes:
    """Wakes waiters of a key. A missed wake-up costs them only until they look again."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}

    def tell(self, key: str) -> None:
        """Something about `key` changed."""
        for heard in (key, ANY):
            event = self._events.pop(heard, None)
            if event is not None:
                event.set()

    def waiter(self, key: str) -> asyncio.Event:
        """Is set at the next change; take it before looking, so that none is missed."""
        return self._events.setdefault(key, asyncio.Event())

    async def wait(self, event: asyncio.Event, timeout_s: float) -> None:
        """Until the change, or the timeout."""
        await wait_for(event, timeout_s)
