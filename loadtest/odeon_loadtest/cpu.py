"""CPU time of processes, from /proc: compared instead of wall time, which is noisy here."""

import os
from pathlib import Path

from odeon_testkit.process_tree import tree

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pid: int) -> float:
    """User and system time that the process has used so far, its threads included, in seconds."""
    schedstat = [
        int((task / "schedstat").read_text().split()[0])
        for task in Path(f"/proc/{pid}/task").iterdir()
    ]
    precise = sum(schedstat) / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = (int(fields[11]) + int(fields[12])) * _TICK_S
    # Threads that ended are only in the coarse count; living ones are precise in schedstat.
    return max(precise, ticks)


def tree_cpu_seconds(pid: int) -> float:
    """CPU time of a process and all that are now below it."""
    return sum(cpu_seconds(p) for p in tree(pid))
