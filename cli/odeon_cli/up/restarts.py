"""When a child that died starts again: at once the first time, then ever later."""

from dataclasses import dataclass

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 10.0
HEALTHY_S = 60.0
"""After living this long the next death counts as a first one again."""
GIVE_UP_STARTING_AFTER = 3
"""Deaths before it was ever ready that end `odeon up` itself."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """Deaths of one child in a row."""

    in_a_row: int = 0

    def after_death(self, lived_s: float) -> "Restarts":
        """Count a death after `lived_s` seconds of life."""
        return Restarts(1 if lived_s >= HEALTHY_S else self.in_a_row + 1)

    @property
    def delay_s(self) -> float:
        """How long to wait before the next start, in seconds."""
        if self.in_a_row <= 1:
            return 0.0
        doubled: float = FIRST_DELAY_S * 2.0 ** min(self.in_a_row - 2, 10)
        return min(doubled, MAX_DELAY_S)
