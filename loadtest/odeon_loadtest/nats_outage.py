"""Two ways in which a deployment's NATS is away for a while.

Hung, it keeps its port and its connections and says nothing: harder than a closed connection, for
only silence tells. Stopped, it is gone and refuses connections, and later a new server starts on
the same store.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from odeon_testkit.product import Product
from odeon_testkit.wait import until

_PROGRAM = "nats-server"
_BACK_S = 20.0
_ATTEMPTS = 5

Outage = Callable[[Product], AbstractAsyncContextManager[None]]
"""NATS is away inside of the block; back, or about to be, behind it."""


class NotAway(RuntimeError):
    """NATS could not be kept away."""


@asynccontextmanager
async def hung(product: Product) -> AsyncIterator[None]:
    """The server stands still and goes on later as if nothing had been."""
    pid = product.process_of(_PROGRAM)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
        if await greets(product):
            raise NotAway("a stopped process has greeted a client")
    finally:
        os.kill(pid, signal.SIGCONT)


@asynccontextmanager
async def stopped(product: Product) -> AsyncIterator[None]:
    """The server is killed; the one that `odeon up` starts at once is held before it listens."""
    successor = await _held_successor(product)
    try:
        yield
        if await _listens(product):
            raise NotAway("somebody else listens in the place of NATS")
    finally:
        os.kill(successor, signal.SIGCONT)
    await until(lambda: greets(product), timeout_s=_BACK_S)


async def greets(product: Product) -> bool:
    """Whether a client that connects now is answered within a second."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(1):
            reader, writer = await asyncio.open_connection(*_place(product))
            try:
                return await reader.read(4) == b"INFO"
            finally:
                writer.close()
    return False


async def _held_successor(product: Product) -> int:
    """Process id of a new server that stands still and has not begun to listen."""
    pid = product.process_of(_PROGRAM)
    for _ in range(_ATTEMPTS):
        os.kill(pid, signal.SIGKILL)
        pid = await _successor(product, pid)
        os.kill(pid, signal.SIGSTOP)
        # It takes some 50 ms to get that far, and we may have been late on a busy machine.
        if not await _listens(product):
            return pid
    raise NotAway(f"{_ATTEMPTS} times in a row NATS listened before it could be stopped")


async def _successor(product: Product, dead: int) -> int:
    async with asyncio.timeout(_BACK_S):
        while True:
            with suppress(LookupError):
                if (pid := product.process_of(_PROGRAM)) != dead:
                    return pid
            await asyncio.sleep(0)


async def _listens(product: Product) -> bool:
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(*_place(product))
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


def _place(product: Product) -> tuple[str, int]:
    host, _, port = product["nats"].removeprefix("nats://").rpartition(":")
    return host, int(port)
