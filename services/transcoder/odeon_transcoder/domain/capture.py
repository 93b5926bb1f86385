"""When pictures were captured, on this machine's wall clock."""

from dataclasses import dataclass

BELIEVED_DELAY_S = (-0.1, 1.0)
"""A sender whose fastest frame took this long has its clock right, as far as anybody can tell."""
STEP_S = 4.0
"""No network changes its delay by this much: the sender's clock was set."""


@dataclass(slots=True)
class CaptureClock:
    """Puts one sender's capture times on our clock.

    Sender reports tell them on the sender's own clock (RFC 3550 section 6.4.1), which is right on
    most machines and minutes off on some. Where it is off, the fastest frame so far counts as one
    that took no time to come.
    """

    _least_delay_s: float | None = None

    def captured_s(self, said_s: float | None, arrived_s: float) -> float:
        """Capture time of a frame by what its sender said, by its arrival when nothing was said.

        Args:
            said_s: Unix time on the sender's clock.
            arrived_s: Unix time on ours.
        """
        if said_s is None:
            return arrived_s
        delay_s = arrived_s - said_s
        least = self._least_delay_s
        if least is None or abs(delay_s - least) > STEP_S:
            least = delay_s
        self._least_delay_s = least = min(least, delay_s)
        shortest, longest = BELIEVED_DELAY_S
        return said_s if shortest <= least <= longest else said_s + least
