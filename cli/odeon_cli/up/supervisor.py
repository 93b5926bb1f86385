"""All children of one deployment: started together, stopped one stage after the other."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Self

from odeon_cli.up.child import Child, ProcessSpec

READY_TIMEOUT_S = 90.0


class Supervisor:
    """Owns the children; an async context manager that leaves none behind.

    Args:
        log_dir: one file per child goes here.
        on_change: called with a child after every change of its state.
    """

    def __init__(self, log_dir: Path, on_change: Callable[[Child], None]) -> None:
        self._log_dir = log_dir
        self._on_change = on_change
        self._children: dict[str, Child] = {}
        self._tasks = asyncio.TaskGroup()

    @property
    def children(self) -> Sequence[Child]:
        """All children, in the order of their start."""
        return tuple(self._children.values())

    def __getitem__(self, name: str) -> Child:
        """One child by name."""
        return self._children[name]

    async def __aenter__(self) -> Self:
        """Nothing runs yet."""
        self._log_dir.mkdir(parents=True, exist_ok=True)
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        """Stop in reverse order, however we got here."""
        try:
            await self.stop_all()
        finally:
            self.kill_all()
            await self._tasks.__aexit__(None, None, None)

    def start(self, spec: ProcessSpec) -> Child:
        """Start a child; returns at once."""
        child = Child(spec, self._log_dir / f"{spec.name}.log", self._on_change)
        self._children[spec.name] = child
        self._tasks.create_task(child.run(), name=f"child-{spec.name}")
        return child

    async def wait_ready(self, names: Iterable[str]) -> None:
        """Return when all of these are ready; raises StartFailed of the first that fails."""
        waits = [
            asyncio.create_task(self._children[name].wait_ready(READY_TIMEOUT_S), name=name)
            for name in names
        ]
        try:
            await asyncio.gather(*waits)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def stop_all(self) -> None:
        """Stop the last started first; those of one kind ("edge-1", "edge-2") together."""
        for stage in _stages(self.children):
            await asyncio.gather(*(child.stop() for child in stage))

    def kill_all(self) -> None:
        """End everything now."""
        for child in self._children.values():
            child.kill()


def _stages(children: Sequence[Child]) -> list[list[Child]]:
    stages: list[list[Child]] = []
    for child in reversed(children):
        kind = child.name.partition("-")[0]
        if stages and stages[-1][0].name.partition("-")[0] == kind:
            stages[-1].append(child)
        else:
            stages.append([child])
    return stages
