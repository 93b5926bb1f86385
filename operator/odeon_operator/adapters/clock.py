"""Time as the machine has it."""

import time
from datetime import UTC, datetime


class SystemClock:
    """Wall time for what people booked, monotonic time for everything else."""

    def now(self) -> datetime:
        """See `ports.Clock`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See `ports.Clock`."""
        return time.monotonic()
