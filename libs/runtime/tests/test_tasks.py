"""Tasks that live as long as their service."""

import asyncio

import pytest
from odeon_runtime.tasks import EternalTasks, end


async def test_leaving_ends_a_task_that_swallowed_its_first_cancellation() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                swallowed += 1
                if swallowed > 1:
                    raise

    async with asyncio.timeout(10):
        async with EternalTasks() as tasks:
            tasks.spawn("stubborn", stubborn())
            await asyncio.sleep(0)

    assert swallowed == 2


async def test_ending_a_task_ends_those_that_it_owns_however_often_that_takes() -> None:
    swallowed = 0

    async def stubborn() -> None:
        nonlocal swallowed
        while swallowed < 4:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                swallowed += 1

    async def owner() -> None:
        async with EternalTasks() as tasks:
            tasks.spawn("stubborn", stubborn())
            await asyncio.sleep(3600)

    task = asyncio.create_task(owner())
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        await end([task])

    assert task.cancelled()
    assert swallowed == 4


async def test_a_task_that_fails_ends_the_service() -> None:
    async def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ExceptionGroup):
        async with EternalTasks() as tasks:
            tasks.spawn("broken", broken())
            await asyncio.sleep(3600)
