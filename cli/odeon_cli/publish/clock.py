"""The clock of one publication: media time zero on the monotonic and on the wall clock."""

import threading
import time
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MediaClock:
    """Both clocks are read once, together: what is burnt in and what is sent never drift apart."""

    zero_ns: int = field(default_factory=time.monotonic_ns)
    zero_unix_us: int = field(default_factory=lambda: time.time_ns() // 1000)

    def now_s(self) -> float:
        """Media time now, in seconds."""
        return (time.monotonic_ns() - self.zero_ns) / 1e9

    def unix_us(self, media_time_s: float) -> int:
        """Wall clock of a media time, in microseconds."""
        return self.zero_unix_us + round(media_time_s * 1e6)

    def wait_until(self, media_time_s: float, stop: threading.Event) -> bool:
        """Block until a media time; False when `stop` was set first."""
        return not stop.wait(max(0.0, media_time_s - self.now_s()))
