"""When a rule holds: always, between two moments, or for a while after each tick of a cron line.

Windows are half open, `[start, end)`: where one ends and the next starts at the same moment,
exactly one of them holds, so nothing dips between them (keda#6709).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError
from odeon_runtime.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Always:
    """At every moment."""


@dataclass(frozen=True, slots=True)
class Between:
    """From `start` until before `end`; a missing end is open."""

    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, slots=True)
class ActivePeriod:
    """For `duration` after each tick of `start_cron`, as in Agones' Schedule policy.

    Attributes:
        start_cron: five fields, read as Debian's cron reads them, also across a change of clocks.
        duration: how long each period lasts; periods that overlap are one.
        zone: where the cron line's wall clock hangs.
    """

    start_cron: str
    duration: timedelta
    zone: tzinfo = UTC


Window = Always | Between | ActivePeriod


def check_cron(line: str, *, field: str) -> str:
    """A cron line of five fields that will tick again.

    Raises:
        InvalidArgument: it is none.
    """
    if len(line.split()) != 5:
        raise InvalidArgument(field=field, problem=f"{line!r} has not five fields")
    try:
        next(CronSim(line, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        problem = f"{line!r} is no cron line: {error or 'it never ticks'}"
        raise InvalidArgument(field=field, problem=problem) from None
    return line


def holds(window: Window, now: datetime) -> bool:
    """Whether a window holds at a moment."""
    match window:
        case Always():
            return True
        case Between(start, end):
            return (start is None or start <= now) and (end is None or now < end)
        case ActivePeriod(start_cron, duration, zone):
            # The first tick after `now - duration`: if it is not in the future, it opened a period
            # that has not ended. Durations are real time, so the subtraction is done in UTC.
            since = (now.astimezone(UTC) - duration).astimezone(zone)
            try:
                tick = next(CronSim(start_cron, since))
            except StopIteration:
                return False
            return tick <= now
