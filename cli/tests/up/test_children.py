"""Children: real processes, restarted, stopped, and gone with their supervisor."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from odeon_cli.up.child import Child, ProcessSpec, StartFailed, State
from odeon_cli.up.supervisor import Supervisor
from odeon_testkit.wait import until

READY = 'import json,os,time;print(json.dumps({"event":"ready","pid":os.getpid()}),flush=True);'
FOREVER = READY + "time.sleep(600)"
STUBBORN = (
    "import signal;signal.signal(signal.SIGTERM,signal.SIG_IGN);signal.signal(2,signal.SIG_IGN);"
    + FOREVER
)


def python(name: str, code: str, **more: object) -> ProcessSpec:
    return ProcessSpec(name=name, argv=(sys.executable, "-S", "-c", code), **more)  # type: ignore[arg-type]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


async def gone(pid: int) -> bool:
    return not alive(pid)


def ignore(_: Child) -> None:
    """Nobody watches."""


async def test_a_child_is_ready_when_it_says_so(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, ignore) as supervisor:
        child = supervisor.start(python("a", FOREVER))
        await supervisor.wait_ready(["a"])

        assert child.state is State.READY
        assert child.ready_record["pid"] == child.pid


async def test_a_child_that_is_killed_comes_back_at_once(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, ignore) as supervisor:
        child = supervisor.start(python("a", FOREVER))
        await supervisor.wait_ready(["a"])
        first = child.pid
        assert first is not None

        os.kill(first, signal.SIGKILL)

        async def back() -> bool:
            return child.state is State.READY and child.pid not in (None, first)

        await until(back)
        assert child.starts == 2
        assert child.last_exit == -signal.SIGKILL


async def test_a_child_that_never_becomes_ready_fails_the_start_with_its_last_words(
    tmp_path: Path,
) -> None:
    async with Supervisor(tmp_path, ignore) as supervisor:
        supervisor.start(python("broken", "raise SystemExit('no database')"))

        with pytest.raises(StartFailed) as failure:
            await supervisor.wait_ready(["broken"])

    assert "no database" in failure.value.message
    assert "broken.log" in failure.value.hint


async def test_a_program_that_is_not_there_fails_the_start(tmp_path: Path) -> None:
    async with Supervisor(tmp_path, ignore) as supervisor:
        supervisor.start(ProcessSpec(name="gone", argv=(str(tmp_path / "none"),)))

        with pytest.raises(StartFailed) as failure:
            await supervisor.wait_ready(["gone"])

    assert "cannot be started" in failure.value.message


async def test_a_child_that_ignores_the_request_to_stop_is_killed_after_its_grace(
    tmp_path: Path,
) -> None:
    async with Supervisor(tmp_path, ignore) as supervisor:
        child = supervisor.start(python("a", STUBBORN, grace_s=0.3))
        await supervisor.wait_ready(["a"])
        pid = child.pid
        assert pid is not None

    assert not alive(pid)
    assert child.state is State.STOPPED


async def test_children_stop_in_reverse_order_those_of_a_kind_together(tmp_path: Path) -> None:
    order: list[str] = []

    def note(child: Child) -> None:
        if child.state is State.STOPPING:
            order.append(child.name)

    async with Supervisor(tmp_path, note) as supervisor:
        for name in ("auth", "room", "edge-1", "edge-2"):
            supervisor.start(python(name, FOREVER))
        await supervisor.wait_ready(["auth", "room", "edge-1", "edge-2"])

    assert order == ["edge-2", "edge-1", "room", "auth"]


async def test_what_a_child_started_goes_with_it(tmp_path: Path) -> None:
    code = (
        "import subprocess,sys,json;"
        "p=subprocess.Popen([sys.executable,'-S','-c','import time;time.sleep(600)']);"
        "print(json.dumps({'event':'ready','grandchild':p.pid}),flush=True);p.wait()"
    )
    async with Supervisor(tmp_path, ignore) as supervisor:
        child = supervisor.start(python("a", code))
        await supervisor.wait_ready(["a"])
        grandchild = child.ready_record["grandchild"]

    await until(lambda: gone(grandchild))


@pytest.mark.parametrize("apart", [False, True])
async def test_a_dead_child_comes_back_though_what_it_started_holds_its_output(
    tmp_path: Path, apart: bool
) -> None:
    code = (
        "import subprocess,sys,json,time;"
        "p=subprocess.Popen([sys.executable,'-S','-c','import time;time.sleep(600)'],"
        f"start_new_session={apart});"
        "print(json.dumps({'event':'ready','grandchild':p.pid}),flush=True);time.sleep(600)"
    )
    left: list[int] = []
    async with Supervisor(tmp_path, ignore) as supervisor:
        child = supervisor.start(python("a", code))
        await supervisor.wait_ready(["a"])
        first = child.pid
        assert first is not None
        left.append(child.ready_record["grandchild"])

        os.kill(first, signal.SIGKILL)

        async def back() -> bool:
            return child.state is State.READY and child.pid not in (None, first)

        await until(back)
        assert alive(left[0]) is apart
        left.append(child.ready_record["grandchild"])
    if apart:  # Nobody but the test can end these.
        for pid in left:
            os.kill(pid, signal.SIGKILL)


async def test_a_line_without_end_neither_blocks_nor_grows(tmp_path: Path) -> None:
    code = "import sys;sys.stdout.write('x'*2_000_000+'\\n');" + FOREVER
    async with Supervisor(tmp_path, ignore) as supervisor:
        supervisor.start(python("a", code))

        await supervisor.wait_ready(["a"])


SUPERVISOR = """
import asyncio, json, sys
from pathlib import Path
from odeon_cli.up.child import ProcessSpec
from odeon_cli.up.supervisor import Supervisor
async def main():
    async with Supervisor(Path(sys.argv[1]), lambda child: None) as supervisor:
        code = sys.argv[2]
        argv = (sys.executable, "-S", "-c", code)
        for n in (1, 2):
            supervisor.start(ProcessSpec(name=f"edge-{n}", argv=argv, tether=True))
        await supervisor.wait_ready(["edge-1", "edge-2"])
        print(json.dumps([child.pid for child in supervisor.children]), flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SUPERVISOR, str(tmp_path), FOREVER), stdout=subprocess.PIPE
    )
    assert supervisor.stdout is not None
    children = json.loads(await supervisor.stdout.readline())
    assert all(alive(pid) for pid in children)

    supervisor.kill()
    await supervisor.wait()

    for pid in children:
        await until(lambda pid=pid: gone(pid), timeout_s=5)  # type: ignore[misc]
