"""When a source deserves a better ladder than the one that runs."""

from dataclasses import dataclass

from odeon_transcoder.domain.ladder import Ladder

GROW_AFTER_S = 5.0
"""A source that outgrew the ladder for this long gets a new epoch with a better one."""


@dataclass(slots=True)
class Growth:
    """Watches a source against the ladder of an epoch.

    A successor keeps its predecessor's ladder, though its own settings might have given another
    one: what the source offers in its first seconds here is where growth is counted from.
    """

    ladder: Ladder
    kept: bool = False
    """Chosen by a predecessor, whose settings may differ."""
    _height: int = 0
    _frame_rate: int = 0
    _first_s: float | None = None
    _larger_since_s: float | None = None

    def __post_init__(self) -> None:
        """Count from the ladder itself."""
        self._height, self._frame_rate = self.ladder.canvas.height, self.ladder.frame_rate

    def observe(self, now_s: float, better: Ladder | None) -> bool:
        """Whether to begin anew with `better`, the ladder that would fit now; None: unknown."""
        if better is not None and self.kept and self._is_first(now_s):
            self._height = max(self._height, better.canvas.height)
            self._frame_rate = max(self._frame_rate, better.frame_rate)
        if better is None or not self._larger(better):
            self._larger_since_s = None
            return False
        if self._larger_since_s is None:
            self._larger_since_s = now_s
        return now_s - self._larger_since_s >= GROW_AFTER_S

    def _is_first(self, now_s: float) -> bool:
        self._first_s = now_s if self._first_s is None else self._first_s
        return now_s - self._first_s < GROW_AFTER_S

    def _larger(self, better: Ladder) -> bool:
        return better.canvas.height * 4 > self._height * 5 or better.frame_rate > self._frame_rate
