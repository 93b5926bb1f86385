"""Tasks that live as long as their service: named, owned, cancelled at stop."""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from odeon_runtime.logs import logger

_log = logger(__name__)
_CANCEL_AGAIN_S = 0.5


class EternalTasks:
    """An async context manager that owns tasks which should never end by themselves.

    One that fails is logged and ends the service (its supervisor starts a fresh one): a service
    with a dead part must not look alive. Leaving the context cancels all of them.
    """

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()
        self._tasks: list[asyncio.Task[None]] = []

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` until the service stops."""
        task = self._group.create_task(work, name=name)
        task.add_done_callback(_log_failure)
        self._tasks.append(task)

    async def __aenter__(self) -> Self:
        """Open the group."""
        await self._group.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel every task and wait for them."""
        try:
            await end(self._tasks)
        finally:
            await self._group.__aexit__(kind, error, traceback)


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel until all have ended.

    Once is not enough: `asyncio.wait_for` of Python 3.11 swallows a cancellation that meets the
    result it waits for (gh-86296, mended in 3.12), and whoever pulls from NATS is in it all day.
    For the same reason a task whose group of tasks lives for ever owns them by `EternalTasks`: an
    `asyncio.TaskGroup` cancels its tasks once, and then waits for one that swallowed it for ever.
    """
    left = {task for task in tasks if not task.done()}
    interrupted: asyncio.CancelledError | None = None
    while left:
        for task in left:
            task.cancel()
        try:
            _, left = await asyncio.wait(left, timeout=_CANCEL_AGAIN_S)
        except asyncio.CancelledError as again:
            # Whoever ends us says so again and again, as we do; nothing is left behind for that.
            interrupted = again
            left = {task for task in left if not task.done()}
    if interrupted is not None:
        raise interrupted


async def wait_for(event: asyncio.Event, timeout_s: float) -> None:
    """Until the event is set, or the timeout."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            await event.wait()


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("task_died", task=task.get_name(), exc_info=error)
