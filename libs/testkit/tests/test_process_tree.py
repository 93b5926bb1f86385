"""The walk sees real processes: below one another, and dead."""

import os
import subprocess
import sys

from odeon_testkit.process_tree import family, processes, tree

_PARENT = (
    "import subprocess, sys\n"
    "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
    "print(child.pid, flush=True)\n"
    "input()\n"
)


def start(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_tree_is_a_process_and_all_below_it() -> None:
    parent = start(_PARENT)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())

    found = tree(parent.pid)

    assert found == [parent.pid, child]
    assert tree(os.getpid())[0] == os.getpid()
    assert {parent.pid, child} <= set(tree(os.getpid()))
    parent.communicate()


def test_what_ended_is_not_alive_and_then_not_there() -> None:
    process = start("pass")
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert not processes()[process.pid].alive
    process.communicate()
    assert family(process.pid) == []
