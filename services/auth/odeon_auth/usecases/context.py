"""The clock of the use cases."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present, to the microsecond that the database keeps."""
    return datetime.now(UTC)
