"""The life of a service process: set up, start, say ready, wait for a signal, stop in reverse."""

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

import uvloop

from odeon_runtime.logs import logger, setup_logs
from odeon_runtime.settings import ServiceSettings
from odeon_runtime.telemetry import setup_tracing

Start = Callable[[], AbstractAsyncContextManager[Mapping[str, str]]]
_PR_SET_PDEATHSIG = 1
_log = logger(__name__)


def run(service: str, settings: ServiceSettings, start: Start) -> None:
    """Run a service until SIGTERM or SIGINT; a second signal exits at once.

    `start` is an async context manager that starts everything and yields the addresses for the
    ready line: one JSON object on standard output, {"event": "ready", "service": …, addresses…}.
    """
    die_with_parent()
    setup_logs(service, level=settings.log_level, style=settings.log_format)
    provider = setup_tracing(service, endpoint=settings.otlp_endpoint)
    try:
        uvloop.run(_live(service, settings, start))
    finally:
        provider.shutdown()


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its supervisor dies, if the supervisor wants it."""
    if os.environ.get("ODEON_DIE_WITH_PARENT") != "1":
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == 1:
        sys.exit("the supervisor is gone")


async def _live(service: str, settings: ServiceSettings, start: Start) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard(number: int) -> None:
        if stop.is_set():
            _log.warning("second_signal", signal=number)
            os._exit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard, number)
    async with start() as addresses:
        metrics = _serve_metrics(settings.metrics_host, settings.metrics_port)
        ready = {"event": "ready", "service": service, "pid": os.getpid(), **addresses, **metrics}
        print(json.dumps(ready), flush=True)
        _log.info("ready", **addresses)
        await stop.wait()
        _log.info("stopping")


def _serve_metrics(host: str, port: int) -> dict[str, str]:
    if port < 0:
        return {}
    from prometheus_client import start_http_server

    server, _thread = start_http_server(port, addr=host)
    return {"metrics": f"{host}:{server.server_port}"}
