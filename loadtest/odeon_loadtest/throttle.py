"""A CPU quota for a running process, as a container's limit would be.

By control groups where this user may make them, version 2 or 1. Elsewhere the process is stopped
and continued by hand: in every period it runs until it has used its share.
"""

import asyncio
import errno
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from odeon_loadtest.cpu import cpu_seconds

_PERIOD_US = 100_000
"""The kernel's own default."""
_LOOK_S = 0.005
_LEAVE_S = 10.0
_ROOT = Path("/sys/fs/cgroup")


@asynccontextmanager
async def cpu_quota(pid: int, share: float, *, groups: bool = True) -> AsyncIterator[str]:
    """Hold a process and its threads to `share` of one core; yields by what means.

    Args:
        pid: of the process; it has to be below this one.
        share: 1 is one core.
        groups: False goes by signals even where there are control groups.
    """
    group = _new_group(share) if groups else None
    if group is not None:
        async with _member(group, pid):
            yield "a control group's quota"
        return
    duty = asyncio.create_task(_duty_cycle(pid, share), name=f"duty-cycle-{pid}")
    try:
        yield "SIGSTOP and SIGCONT"
    finally:
        duty.cancel()
        with suppress(asyncio.CancelledError):
            await duty


def _new_group(share: float) -> Path | None:
    """An empty group with the quota, below this process's own; None when there can be none."""
    for make in (_version_2, _version_1):
        with suppress(OSError):
            return make(round(share * _PERIOD_US))
    return None


def _version_2(quota_us: int) -> Path:
    parent = _ROOT / _own_path("").lstrip("/")
    if "cpu" not in (parent / "cgroup.controllers").read_text().split():
        raise FileNotFoundError("the cpu controller is not version 2's")
    # Refused where this process itself sits in the group, unless that is the root.
    (parent / "cgroup.subtree_control").write_text("+cpu")
    return _made(parent, {"cpu.max": f"{quota_us} {_PERIOD_US}"})


def _version_1(quota_us: int) -> Path:
    parent = _ROOT / "cpu" / _own_path("cpu").lstrip("/")
    limits = {"cpu.cfs_period_us": f"{_PERIOD_US}", "cpu.cfs_quota_us": f"{quota_us}"}
    return _made(parent, limits)


def _own_path(controller: str) -> str:
    """Path of this process's group in a controller's hierarchy; "" names version 2's."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            return path
    raise FileNotFoundError(f"no control group for {controller!r}")


def _made(parent: Path, limits: dict[str, str]) -> Path:
    group = parent / f"odeon-loadtest-{os.getpid()}"
    group.mkdir()
    try:
        for name, value in limits.items():
            (group / name).write_text(value)
    except OSError:
        group.rmdir()
        raise
    return group


@asynccontextmanager
async def _member(group: Path, pid: int) -> AsyncIterator[None]:
    try:
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for left in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                (group.parent / "cgroup.procs").write_text(left)
        await _remove(group)


async def _remove(group: Path) -> None:
    """Remove a group; a process that was killed stays in it until it is gone."""
    async with asyncio.timeout(_LEAVE_S):
        while not _removed(group):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_S)


def _removed(group: Path) -> bool:
    try:
        group.rmdir()
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


async def _duty_cycle(pid: int, share: float) -> None:
    period_s = _PERIOD_US / 1e6
    loop = asyncio.get_running_loop()
    try:
        while True:
            begun, used = loop.time(), cpu_seconds(pid)
            os.kill(pid, signal.SIGCONT)
            while cpu_seconds(pid) - used < share * period_s:  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
            os.kill(pid, signal.SIGSTOP)
            await asyncio.sleep(max(0.0, begun + period_s - loop.time()))
    except (FileNotFoundError, ProcessLookupError):
        return  # It ended; whoever measures will notice.
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
