"""A player's clock without a player: starts behind the live edge, stalls when nothing is left."""

from dataclasses import dataclass

RESUME_AFTER_S = 0.3
"""After a stall a player waits for about a part before it goes on."""
CATCH_UP_RATE = 1.1
"""As fast as the pages' player catches up (maxLiveSyncPlaybackRate)."""
_CATCH_UP_OVER_S = 0.35


@dataclass(frozen=True, slots=True)
class Stall:
    """A pause that a viewer sees."""

    began_s: float
    duration_s: float


class Playhead:
    """Position in media time as a function of the wall clock; both in seconds.

    Args:
        hold_back_s: how far behind the newest media a player stays.
    """

    def __init__(self, hold_back_s: float) -> None:
        self._hold_back_s = hold_back_s
        self._position: float | None = None
        self._buffered_s = 0.0
        self._now_s = 0.0
        self._stalled_since: float | None = None
        self.stalls: list[Stall] = []

    @property
    def position_s(self) -> float | None:
        """Media time shown now; None before the start."""
        return self._position

    @property
    def started(self) -> bool:
        """Whether there is anything to show."""
        return self._position is not None

    @property
    def stalled(self) -> bool:
        """Whether it waits for media right now."""
        return self._stalled_since is not None

    def buffer_to(self, media_time_s: float, *, now_s: float) -> None:
        """Media up to `media_time_s` is there since `now_s`."""
        self.advance(now_s)
        self._buffered_s = max(self._buffered_s, media_time_s)
        if self._stalled_since is None or self._position is None:
            return
        if self._buffered_s - self._position >= RESUME_AFTER_S:
            self.stalls.append(Stall(self._stalled_since, now_s - self._stalled_since))
            self._stalled_since = None

    def start(self, media_time_s: float, *, now_s: float) -> None:
        """Begin to show at `media_time_s`."""
        self._position, self._now_s = media_time_s, now_s

    def advance(self, now_s: float) -> None:
        """Let the wall clock go on to `now_s`."""
        elapsed = max(0.0, now_s - self._now_s)
        self._now_s = max(now_s, self._now_s)
        if self._position is None or self._stalled_since is not None or not elapsed:
            return
        wanted = self._position + elapsed * self._rate()
        if wanted > self._buffered_s:
            short = (wanted - self._buffered_s) / self._rate()
            self._position = max(self._position, self._buffered_s)
            self._stalled_since = now_s - min(short, elapsed)
        else:
            self._position = wanted

    def stalled_s(self) -> float:
        """Stalled time in all, the present stall included."""
        present = self._now_s - self._stalled_since if self._stalled_since is not None else 0.0
        return sum(stall.duration_s for stall in self.stalls) + present

    def _rate(self) -> float:
        assert self._position is not None
        behind = self._buffered_s - self._position
        return CATCH_UP_RATE if behind > self._hold_back_s + _CATCH_UP_OVER_S else 1.0
