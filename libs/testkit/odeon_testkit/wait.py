"""Waiting for a condition instead of for a while."""

import asyncio
from collections.abc import Awaitable, Callable

_PAUSE_S = 0.02


async def until(condition: Callable[[], Awaitable[bool]], *, timeout_s: float = 10.0) -> None:
    """Return when `condition` holds.

    Raises:
        TimeoutError: it did not in time.
    """
    async with asyncio.timeout(timeout_s):
        while True:
            if await condition():
                return
            await asyncio.sleep(_PAUSE_S)
