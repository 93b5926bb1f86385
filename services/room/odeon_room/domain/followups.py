"""What must still happen elsewhere after an event ended, until it has happened."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

_FIRST = timedelta(milliseconds=500)
_LONGEST = timedelta(seconds=30)
_STAGE_PATIENCE = timedelta(minutes=2)


class FollowupKind(StrEnum):
    """What is to be done."""

    CLOSE_STAGE = "CLOSE_STAGE"
    END_TIMELINE = "END_TIMELINE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Followup:
    """One thing to do. `detail` is the stage's node for CLOSE_STAGE."""

    tenant: str
    event: str
    kind: FollowupKind
    create_time: datetime
    due_time: datetime
    attempts: int = 0
    detail: str = ""


def next_try(followup: Followup, now: datetime) -> datetime | None:
    """When to try again after a failure; None to give up.

    A stage is given up after two minutes: its node is gone and its sessions with it. A timeline
    never is: until it is closed, its recording is not complete.
    """
    gone = followup.kind is FollowupKind.CLOSE_STAGE
    if gone and now - followup.create_time > _STAGE_PATIENCE:
        return None
    return now + min(_FIRST * (1 << min(followup.attempts, 10)), _LONGEST)
