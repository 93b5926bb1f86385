"""One child process: started, watched, restarted, stopped. One task owns it.

Children die with the supervisor, even on SIGKILL: Python services ask the kernel for that
themselves (ODEON_DIE_WITH_PARENT), other programs start through a tiny wrapper. The kernel sends
that signal when the *thread* that started the child ends, so all starts happen on the main thread.
"""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from odeon_cli.console import CliError
from odeon_cli.up.logfile import LogFile, last_lines
from odeon_cli.up.restarts import GIVE_UP_STARTING_AFTER, Restarts

_LINE_LIMIT_BYTES = 256 * 1024
_DRAIN_S = 1.0
"""How long the output of a dead child is read on; only somebody outside its group holds it open."""
# PR_SET_PDEATHSIG survives exec; the check closes the gap before it was set.
_TETHER = (
    "import ctypes,os,sys;ctypes.CDLL(None).prctl(1,9);"
    "os.getppid()==int(sys.argv[1]) or sys.exit(1);os.execv(sys.argv[2],sys.argv[2:])"
)


def _die_with_us() -> str:
    """As the first process of a container we need no help: the kernel ends all with us."""
    return "0" if os.getpid() == 1 else "1"


class State(Enum):
    """What a child is doing, as people see it."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """How to run a child.

    Attributes:
        name: unique, also of its log file, e.g. "edge-1".
        argv: program and arguments.
        env: added to the environment of the supervisor.
        ready_text: text of the log line that means ready; empty expects the JSON ready line.
        tether: wrap it so that it dies with the supervisor (it does not ask for that itself).
        stop_signal: asks it to stop.
        grace_s: how long it may take to stop before it is killed, in seconds.
        supervised: starts again when it ends; otherwise its end is final.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    ready_text: str = ""
    tether: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 8.0
    supervised: bool = True


class StartFailed(CliError):
    """A child died again and again before it was ready."""


class _Output(asyncio.subprocess.SubprocessStreamProtocol):
    """A process's output, and its own end.

    `Process.wait` waits for the end of the pipes, too (before Python 3.13), and whatever the
    process started may hold those.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_LINE_LIMIT_BYTES, loop=loop)
        self.exited = asyncio.Event()

    def process_exited(self) -> None:
        """The process is gone."""
        self.exited.set()
        super().process_exited()


class Child:
    """A supervised process.

    Args:
        spec: how to run it.
        log_file: receives everything that it writes.
        on_change: called after every change of state.
    """

    def __init__(
        self, spec: ProcessSpec, log_file: Path, on_change: Callable[["Child"], None]
    ) -> None:
        self.spec = spec
        self.log_file = log_file
        self.state = State.WAITING
        self.pid: int | None = None
        self.starts = 0
        self.ready = asyncio.Event()
        self.ready_record: dict[str, Any] = {}
        self.last_exit: int | None = None
        self._on_change = on_change
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()
        self._failed: StartFailed | None = None
        self._restarts = Restarts()

    @property
    def name(self) -> str:
        """The spec's name."""
        return self.spec.name

    async def run(self) -> None:
        """Keep it running until `stop`; returns when it is gone for good."""
        try:
            while not self._stopping.is_set():
                lived_s = await self._run_once()
                if self._stopping.is_set() or not self.spec.supervised:
                    break
                if not await self._wait_for_restart(lived_s):
                    return
            self._set(State.STOPPED)
        finally:
            self.kill()
            self._ended.set()

    async def wait_ready(self, timeout_s: float) -> None:
        """Return when it said that it is ready.

        Raises:
            StartFailed: it died repeatedly, or said nothing in time.
        """
        ready = asyncio.create_task(self.ready.wait(), name=f"{self.name}-ready")
        ended = asyncio.create_task(self._ended.wait(), name=f"{self.name}-ended")
        try:
            done, _ = await asyncio.wait(
                (ready, ended), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            ready.cancel()
            ended.cancel()
        if self.ready.is_set():
            return
        reason = "ended" if done else f"was not ready after {timeout_s:.0f} s"
        raise self._failed or self._failure(f"{self.name} {reason}")

    async def stop(self) -> None:
        """Ask it to stop, wait, kill it after its grace; returns when it is gone."""
        if self._ended.is_set() or self._stopping.is_set():
            await self._ended.wait()
            return
        self._stopping.set()
        self._set(State.STOPPING)
        if self.pid is not None:
            self._signal(self.spec.stop_signal)
        try:
            await asyncio.wait_for(self._ended.wait(), self.spec.grace_s)
        except TimeoutError:
            self.kill()
            await self._ended.wait()

    def kill(self) -> None:
        """End it and all that it started, now."""
        if self.pid is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    async def _run_once(self) -> float:
        started = time.monotonic()
        self.starts += 1
        self._set(State.STARTING)
        with LogFile(self.log_file) as log:
            try:
                transport, output = await self._spawn()
            except OSError as error:  # Out of memory or processes, or the program has gone.
                log.write(f"{self.name} cannot be started: {error}\n".encode())
                self.last_exit = None
                return time.monotonic() - started
            await self._live(transport, output, log)
        return time.monotonic() - started

    async def _spawn(self) -> tuple[asyncio.SubprocessTransport, _Output]:
        loop = asyncio.get_running_loop()
        return await loop.subprocess_exec(
            lambda: _Output(loop),
            *self._argv(),
            env={**os.environ, **self.spec.env, "ODEON_DIE_WITH_PARENT": _die_with_us()},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    async def _live(
        self, transport: asyncio.SubprocessTransport, output: _Output, log: LogFile
    ) -> None:
        self.pid = transport.get_pid()
        try:
            if self._stopping.is_set():
                self._signal(self.spec.stop_signal)
            async with asyncio.timeout(None) as patience, asyncio.TaskGroup() as readers:
                assert output.stdout is not None and output.stderr is not None
                readers.create_task(self._read(output.stdout, log), name=f"{self.name}-stdout")
                readers.create_task(
                    self._read(output.stderr, log, is_log=True), name=f"{self.name}-stderr"
                )
                await output.exited.wait()
                self.last_exit = transport.get_returncode()
                self.kill()  # What it started may hold its output open.
                patience.reschedule(asyncio.get_running_loop().time() + _DRAIN_S)
        except TimeoutError:
            log.write(f"{self.name} left a process behind that holds its output\n".encode())
        finally:
            self.kill()
            self.pid = None
            transport.close()

    async def _wait_for_restart(self, lived_s: float) -> bool:
        if not self.ready.is_set() and self.starts >= GIVE_UP_STARTING_AFTER:
            self._failed = self._failure(f"{self.name} does not start (exit {self.last_exit})")
            self._set(State.FAILED)
            return False
        self._restarts = self._restarts.after_death(lived_s)
        self._set(State.RESTARTING)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), self._restarts.delay_s)
        return True

    async def _read(
        self, output: asyncio.StreamReader, log: LogFile, *, is_log: bool = False
    ) -> None:
        """Copy output to the log and watch for the ready line, until the output is closed."""
        while True:
            try:
                line = await output.readline()
            except ValueError:  # Longer than the limit; the rest of it follows.
                continue
            if not line:
                return
            log.write(line)
            if self.state is not State.READY and self._says_ready(line, is_log=is_log):
                self.ready.set()
                self._set(State.READY)

    def _says_ready(self, line: bytes, *, is_log: bool) -> bool:
        if self.spec.ready_text:
            return self.spec.ready_text.encode() in line
        if is_log:
            return False
        try:
            record = json.loads(line)
        except ValueError:
            return False
        if not isinstance(record, dict) or record.get("event") != "ready":
            return False
        self.ready_record = record
        return True

    def _argv(self) -> tuple[str, ...]:
        if not self.spec.tether:
            return self.spec.argv
        return (sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid()), *self.spec.argv)

    def _failure(self, message: str) -> StartFailed:
        tail = "\n".join(last_lines(self.log_file))
        return StartFailed(
            f"{message}; its log ends with:\n{tail}" if tail else message,
            hint=f"the whole log is in {self.log_file}; `odeon doctor` checks this machine",
        )

    def _signal(self, number: signal.Signals) -> None:
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _set(self, state: State) -> None:
        self.state = state
        self._on_change(self)
