"""Processes of this machine and who started whom, from /proc."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Process:
    """A process at one moment.

    Attributes:
        parent: process id of who started it, or of who took it over.
        state: a letter, e.g. "S"; "Z" is a dead one that nobody waited for yet.
        command: its arguments with spaces between them; empty for a dead one.
    """

    pid: int
    parent: int
    state: str
    command: str

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.state != "Z"


def processes() -> dict[int, Process]:
    """All processes, by their ids."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except (FileNotFoundError, ProcessLookupError):  # It ended meanwhile.
            continue
        found[int(entry.name)] = Process(int(entry.name), int(parent), state, command)
    return found


def family(root: int) -> list[Process]:
    """A process, then all below it; empty when there is none."""
    known = processes()
    children: dict[int, list[int]] = defaultdict(list)
    for process in known.values():
        children[process.parent].append(process.pid)

    def below(pid: int) -> Iterator[Process]:
        yield known[pid]
        for child in children[pid]:
            yield from below(child)

    return list(below(root)) if root in known else []


def tree(root: int) -> list[int]:
    """Process ids of a process and of all below it."""
    return [process.pid for process in family(root)]
