"""Whose picture is the main one: the host's choice, a shared screen, who speaks, who came first."""

from collections.abc import Sequence
from dataclasses import dataclass

from odeon_transcoder.domain.layout import LayoutKind, Seat

HOLD_S = 1.5
"""A new speaker must be the loudest for this long before the picture changes."""


@dataclass(frozen=True, slots=True)
class LayoutChoice:
    """What the host asked for."""

    kind: LayoutKind = LayoutKind.SINGLE
    focus: str = ""
    """Identity to show first; empty leaves it to the speakers."""
    labels: bool = False


@dataclass(slots=True)
class SpeakerHold:
    """Follows the active speaker without jumping at every cough."""

    current: str | None = None
    _candidate: str | None = None
    _since: float = 0.0

    def observe(self, now_s: float, loudest: str | None) -> str | None:
        """Who counts as the speaker now; silence changes nothing."""
        if loudest is None:
            return self.current
        if loudest == self.current:
            self._candidate = None
        elif loudest != self._candidate:
            self._candidate, self._since = loudest, now_s
        if self._candidate is not None and (self.current is None or now_s - self._since >= HOLD_S):
            self.current, self._candidate = self._candidate, None
        return self.current


def direct(
    choice: LayoutChoice, seats: Sequence[Seat], speaker: str | None
) -> tuple[Seat | None, tuple[Seat, ...]]:
    """The main seat and the others in the order they came.

    With SCREEN_SPEAKER and without a focus the newest screen is the main seat and the speaker is
    the first of the others; without a screen it falls back to whoever would be main. A screen beats
    cameras unless the host named somebody; a grid keeps the order of arrival.
    """
    if not seats:
        return None, ()
    cameras = [seat for seat in seats if not seat.screen]
    screens = [seat for seat in seats if seat.screen]
    main = _focused(choice, seats)
    if main is None and choice.kind is LayoutKind.GRID:
        main = seats[0]
    elif main is None:
        main = screens[-1] if screens else _of(speaker, cameras) or seats[0]
    others = [seat for seat in seats if seat.key != main.key]
    if choice.kind in (LayoutKind.PICTURE_IN_PICTURE, LayoutKind.SCREEN_SPEAKER):
        others = [seat for seat in others if not seat.screen]
        first = _of(speaker, others) or _of(main.identity, others)
        if first is not None:
            others = [first, *(seat for seat in others if seat.key != first.key)]
    return main, tuple(others)


def _focused(choice: LayoutChoice, seats: Sequence[Seat]) -> Seat | None:
    if not choice.focus:
        return None
    mine = [seat for seat in seats if seat.identity == choice.focus]
    wants_screen = choice.kind is LayoutKind.SCREEN_SPEAKER
    return next((seat for seat in mine if seat.screen == wants_screen), mine[0] if mine else None)


def _of(identity: str | None, seats: Sequence[Seat]) -> Seat | None:
    return next((seat for seat in seats if seat.identity == identity), None)
