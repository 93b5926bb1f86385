"""Job processes: `python -m odeon_transcoder.pipeline` behind three pipes."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import cast

from odeon_runtime.logs import logger

from odeon_transcoder import messages
from odeon_transcoder.pipeline.probe import Capability
from odeon_transcoder.ports import Unreachable

_log = logger(__name__)

_HELLO_S = 20.0
_PROBE_S = 15.0
_LINE_LIMIT = 4 * 1024 * 1024
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "HOME", "TZ", "CUDA_VISIBLE_DEVICES")
"""All that a job process gets of the environment: it decodes what strangers send, so no secret of
the deployment may be there. NVIDIA's own variables come along, too."""


class PipedProcess:
    """Implements `ports.JobProcess`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin and process.stdout and process.stderr
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._logs = asyncio.create_task(_relay(process.stderr, process.pid), name="job-logs")

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.returncode is None

    def send(self, command: messages.Command) -> None:
        """Send a command; one to a dead process is lost."""
        if not self._stdin.is_closing():
            self._stdin.write(messages.encode(command))

    async def reports(self) -> AsyncIterator[messages.Report]:
        """Its reports until its end; a line that is too long or no report ends it."""
        with suppress(ConnectionError, ValueError):
            async for line in self._stdout:
                try:
                    yield cast("messages.Report", messages.decode(line))
                except messages.MalformedMessage as error:
                    _log.error("malformed_report", pid=self.pid, error=str(error))
                    return

    async def kill(self) -> None:
        """End it at once and wait for it."""
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        self._stdin.close()
        await self._logs


class PipedProcesses:
    """Implements `ports.JobProcesses`."""

    def __init__(self, *, gpu: bool = False) -> None:
        self._arguments = ("--gpu",) if gpu else ()

    async def start(self) -> PipedProcess:
        """A process that said hello."""
        process = PipedProcess(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "odeon_transcoder.pipeline",
                f"--parent={os.getpid()}",
                *self._arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=_environment(),
                limit=_LINE_LIMIT,
            )
        )
        try:
            async with asyncio.timeout(_HELLO_S):
                hello = await anext(process.reports(), None)
        except TimeoutError:
            hello = None
        except BaseException:
            await process.kill()
            raise
        if not isinstance(hello, messages.Hello):
            await process.kill()
            raise Unreachable("a job process did not start")
        return process


async def probe() -> Capability:
    """What this machine can encode and decode with, tried out in a process of its own.

    Without an NVIDIA device there is nothing to try, and a restart is half a second faster.
    """
    if not await asyncio.to_thread(_has_device):
        return Capability("CPU", "", "no NVIDIA device")
    return await ask(sys.executable, "-m", "odeon_transcoder.pipeline.probe")


async def ask(*program: str, within_s: float = _PROBE_S) -> Capability:
    """What a probing program answers; the CPU when it crashes, hangs or says something else."""
    process = await asyncio.create_subprocess_exec(
        *program,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env=_environment(),
    )
    try:
        async with asyncio.timeout(within_s):
            output, _ = await process.communicate()
        return Capability(**json.loads(output))
    except (TimeoutError, ValueError, TypeError) as error:
        return Capability("CPU", "", f"the probe failed: {type(error).__name__}")
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _has_device() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*"))


def _environment() -> dict[str, str]:
    kept = {
        key: value
        for key, value in os.environ.items()
        if key in _KEPT or key.startswith(("NVIDIA_", "PYTHON"))
    }
    # Every thread would get an arena of its own, 128 MB of the address space that is limited.
    return kept | {"MALLOC_ARENA_MAX": "4"}


async def _relay(stderr: asyncio.StreamReader, pid: int) -> None:
    """Pass a process's log lines on."""
    with suppress(ValueError, ConnectionError):
        async for line in stderr:
            text = line.decode(errors="replace").rstrip()
            if text:
                _log.info("job_process", pid=pid, line=text[:2000])
