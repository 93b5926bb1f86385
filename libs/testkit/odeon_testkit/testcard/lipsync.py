"""Lip-sync error from flashes and beeps that were both seen in decoded media."""

from collections.abc import Sequence


def lip_sync_errors(
    flashes: Sequence[float], beeps: Sequence[float], *, max_distance_s: float = 0.45
) -> list[float]:
    """Beep time minus flash time, in seconds, for every flash that has a beep near it.

    Both lists are presentation times of onsets on one clock. Positive: the sound is late. A flash
    without a beep within `max_distance_s` (the very first or last) does not count.
    """
    errors: list[float] = []
    for flash in flashes:
        nearest = min(beeps, key=lambda beep: abs(beep - flash), default=None)
        if nearest is not None and abs(nearest - flash) <= max_distance_s:
            errors.append(nearest - flash)
    return errors
