"""`python -m odeon_loadtest.podsim`: pods by lines of JSON on standard input, figures on output.

Whoever knows the pods (a test with an API server on which KWOK says that they run) tells of them:

    {"do": "add", "pool": "cpu", "pod": "cpu-0", "uid": "…", "slots": 4}
    {"do": "remove", "uid": "…"}
    {"do": "want", "pool": "cpu", "sessions": 40}
    {"do": "restart", "count": 3}

A line that is none of these is logged and passed over. It ends with its input, or with a signal.
"""

import argparse
import asyncio
import json
import random
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Any

import uvloop
from odeon_runtime.bus import Bus
from odeon_runtime.logs import logger, setup_logs
from odeon_runtime.pool_agent import Member
from odeon_runtime.pools import Drains, Reports
from odeon_runtime.tasks import EternalTasks

from odeon_loadtest.podsim.buckets import LossyReports, SharedDrains
from odeon_loadtest.podsim.crowd import Crowd, Habits

_FIGURES_EVERY_S = 1.0
_log = logger(__name__)


async def obey(crowd: Crowd, line: bytes) -> None:
    """Do what a line says."""
    try:
        told: dict[str, Any] = json.loads(line)
        await _do(crowd, told)
    except (ValueError, TypeError, KeyError) as error:
        _log.error("line_passed_over", line=line[:200].decode(errors="replace"), error=repr(error))


async def _do(crowd: Crowd, told: Mapping[str, Any]) -> None:
    match told["do"]:
        case "add":
            member = Member(str(told["pool"]), str(told["pod"]), str(told["uid"]))
            crowd.add(member, slots=int(told["slots"]))
        case "remove":
            await crowd.remove(str(told["uid"]))
        case "want":
            crowd.want(str(told["pool"]), int(told["sessions"]))
        case "restart":
            for _ in range(int(told["count"])):
                await crowd.restart_one()
        case other:
            raise ValueError(f"nothing is known of {other!r}")


async def _tell_figures(crowd: Crowd) -> None:
    while True:
        await asyncio.sleep(_FIGURES_EVERY_S)
        print(json.dumps({"pods": len(crowd.pods), **asdict(crowd.figures)}), flush=True)


async def _read(crowd: Crowd) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        await obey(crowd, line)


async def live(options: argparse.Namespace) -> None:
    """Simulate until the input ends."""
    chance = random.Random(options.seed)
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Bus(options.nats, name="podsim"))
        drains = SharedDrains(Drains(bus))
        crowd = Crowd(
            reports=LossyReports(Reports(bus), loss=options.loss, chance=chance),
            drains=drains,
            habits=Habits(session_s=options.session_s),
            chance=chance,
        )
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("drains", drains.follow())
        tasks.spawn("figures", _tell_figures(crowd))
        stack.push_async_callback(crowd.close)
        await _read(crowd)


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="podsim", description="Many pods in one process.")
    parser.add_argument("--nats", required=True, help="e.g. nats://127.0.0.1:4222")
    parser.add_argument("--session-s", type=float, default=30.0, help="mean length of a session")
    parser.add_argument("--loss", type=float, default=0.0, help="share of reports that go wrong")
    parser.add_argument("--seed", type=int, default=1, help="of everything random")
    setup_logs("podsim", level="warning", style="json")
    uvloop.run(live(parser.parse_args()))


if __name__ == "__main__":
    main()
