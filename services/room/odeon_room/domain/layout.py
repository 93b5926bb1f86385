"""How the programme is composed."""

from dataclasses import dataclass
from enum import StrEnum

from odeon_runtime.ids import Identity


class LayoutKind(StrEnum):
    """The arrangement."""

    SINGLE = "SINGLE"
    GRID = "GRID"
    SPEAKER = "SPEAKER"
    PICTURE_IN_PICTURE = "PICTURE_IN_PICTURE"
    SCREEN_SPEAKER = "SCREEN_SPEAKER"


@dataclass(frozen=True, slots=True)
class Layout:
    """The arrangement, who comes first (the active speaker when empty), and name labels."""

    kind: LayoutKind = LayoutKind.GRID
    focus: str = ""
    name_labels: bool = False


DEFAULT_LAYOUT = Layout()


def checked(layout: Layout) -> Layout:
    """Refuse a focus that cannot be an identity."""
    if layout.focus:
        Identity.parse(layout.focus)
    return layout
