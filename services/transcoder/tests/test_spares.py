"""Warm processes."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from odeon_testkit.wait import until
from odeon_transcoder import messages
from odeon_transcoder.adapters.processes import PipedProcesses
from odeon_transcoder.usecases.spares import Spares


@pytest.fixture
async def spares() -> AsyncIterator[Spares]:
    made = Spares(PipedProcesses(), 1)
    task = asyncio.create_task(made.refill())
    yield made
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await made.close()


async def test_a_process_is_taken_and_the_next_one_gets_ready(spares: Spares) -> None:
    first = await spares.take()
    second = await spares.take()

    assert first.pid != second.pid and first.alive and second.alive
    await first.kill()
    await second.kill()
    assert not first.alive


async def test_a_spare_that_died_while_it_waited_is_not_handed_out(spares: Spares) -> None:
    first = await spares.take()

    async def warm() -> bool:
        return spares.warm > 0

    await until(warm, timeout_s=20)
    dead = spares._warm[0]

    os.kill(dead.pid, signal.SIGKILL)
    await dead.kill()
    second = await spares.take()

    assert second.alive and second.pid != dead.pid
    await first.kill()
    await second.kill()


async def test_a_process_that_is_told_nonsense_dies_alone(spares: Spares) -> None:
    process = await spares.take()
    process.send(messages.Offer("nonsense", 1))
    process._stdin.write(b"not a message\n")  # type: ignore[attr-defined]

    assert [report async for report in process.reports()] == []
    await process.kill()
