"""How a command hears Ctrl-C: once for an orderly end, twice for an end at once."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """The first SIGINT, SIGTERM or SIGHUP asks for an orderly stop, a second one ends at once."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()
        self._last_acts: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        """Listen."""
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        """Listen no more."""
        loop = asyncio.get_running_loop()
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)

    def on_second(self, act: Callable[[], None]) -> None:
        """Do this, too, before the process ends at the second signal; the last one added first."""
        self._last_acts.append(act)

    async def unless_heard(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The work's result, or None when a signal came first (the work is cancelled then)."""
        task = asyncio.create_task(work, name="work")
        heard = asyncio.create_task(self.heard.wait(), name="signal")
        try:
            await asyncio.wait((task, heard), return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            heard.cancel()
            task.cancel()
            await asyncio.gather(task, heard, return_exceptions=True)

    def _hear(self) -> None:
        if not self.heard.is_set():
            self.heard.set()
            return
        for act in reversed(self._last_acts):
            act()
        os._exit(130)
