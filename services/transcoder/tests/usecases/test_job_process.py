"""A job and its processes, one after the other."""

from typing import TYPE_CHECKING

from odeon_transcoder import messages

from .conftest import soon

if TYPE_CHECKING:
    from .conftest import Workshop


async def test_a_crash_while_the_recorder_is_away_goes_on_with_the_next_process_at_once(
    workshop: "Workshop",
) -> None:
    world = workshop.world
    world.recorder_away = True
    job = workshop.run()
    await soon(lambda: job.pid != 0)
    first = world.started[0]
    first.report(messages.Acquire(()))
    await soon(lambda: world.acquiring > 0)

    first.die()

    await soon(lambda: job.pid not in (0, first.pid))
    assert world.recorder_away, "the recorder was never back"


async def test_no_epoch_is_acquired_for_a_dead_process(workshop: "Workshop") -> None:
    world = workshop.world
    world.recorder_away = True
    job = workshop.run()
    await soon(lambda: job.pid != 0)
    first = world.started[0]
    first.report(messages.Acquire(()))
    await soon(lambda: world.acquiring > 0)
    first.die()
    await soon(lambda: job.pid not in (0, first.pid))
    second = next(process for process in world.started if process.pid == job.pid)

    world.recorder_away = False
    second.report(messages.Acquire(()))

    await soon(lambda: any(isinstance(told, messages.Granted) for told in second.told))
    assert world.granted == 1
    assert not any(isinstance(told, messages.Granted) for told in first.told)
