"""What a viewer got, in numbers."""

import math
from collections import deque
from collections.abc import Collection
from dataclasses import dataclass

_WINDOW_S = 5.0
_MAX_SAMPLES = 500_000


@dataclass(frozen=True, slots=True)
class WatchReport:
    """A playback so far. Times in seconds, latencies in milliseconds; None where unknown."""

    protocol: str
    seconds: float
    rendition: str
    latency_source: str
    latency_ms: float | None
    latency_p50_ms: float | None
    latency_p95_ms: float | None
    bitrate_bps: float
    startup_s: float | None
    stalls: int
    stalled_s: float
    gaps: int
    gap_s: float
    frames: int
    missing: int
    repeated: int

    @property
    def played(self) -> bool:
        """Whether anything was shown."""
        return self.frames > 0


class Latencies:
    """Latency of every frame, in milliseconds."""

    def __init__(self) -> None:
        self._samples: deque[float] = deque(maxlen=_MAX_SAMPLES)

    def add(self, latency_ms: float) -> None:
        """One frame's."""
        self._samples.append(latency_ms)

    @property
    def last(self) -> float | None:
        """The newest."""
        return self._samples[-1] if self._samples else None

    def percentile(self, share: float) -> float | None:
        """The sample below which `share` (0 to 1) of all lie; None without samples."""
        return percentile(self._samples, share) if self._samples else None


def percentile(samples: Collection[float], share: float) -> float:
    """Nearest-rank percentile, a value that was seen; NaN of nothing. `share` is 0 to 1."""
    if not samples:
        return math.nan
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class Bitrate:
    """Bytes that arrived lately."""

    def __init__(self) -> None:
        self._arrivals: deque[tuple[float, int]] = deque()

    def add(self, now_s: float, size: int) -> None:
        """`size` bytes arrived."""
        self._arrivals.append((now_s, size))
        while self._arrivals and self._arrivals[0][0] < now_s - _WINDOW_S:
            self._arrivals.popleft()

    def bps(self, now_s: float) -> float:
        """Bits per second over the last seconds."""
        recent = [(at, size) for at, size in self._arrivals if at >= now_s - _WINDOW_S]
        if len(recent) < 2:
            return 0.0
        return 8 * sum(size for _, size in recent) / max(now_s - recent[0][0], 0.5)


class FrameCounter:
    """Counts test card frames that are missing or come twice.

    A rendition with a lower frame rate leaves out the same share for ever; only what exceeds the
    steady step counts as missing.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.missing = 0
        self.repeated = 0
        self._last: int | None = None
        self._steps: dict[int, int] = {}

    def add(self, counter: int | None) -> None:
        """One frame in order of presentation; None when it shows no test card."""
        self.frames += 1
        if counter is None:
            return
        if self._last is not None:
            step = (counter - self._last) % 2**24
            if step == 0:
                self.repeated += 1
            elif step < 2**23:
                self._steps[step] = self._steps.get(step, 0) + 1
        self._last = counter

    def settle(self) -> None:
        """Work out what is missing from the steps seen so far."""
        if not self._steps:
            return
        usual = max(self._steps, key=lambda step: self._steps[step])
        lost = [(step - usual) * n for step, n in self._steps.items() if step > usual]
        self.missing = sum(lost) // usual
