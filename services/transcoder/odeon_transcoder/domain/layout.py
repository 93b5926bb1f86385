"""Where people appear in the programme: geometry only, for up to twelve of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from odeon_transcoder.domain.ladder import Size

MAX_PEOPLE = 12
_LEAST_PLATE = 14
"""Pixels of height, for text of ten: with less, Chinese characters run together."""


class LayoutKind(Enum):
    """The compositions of a programme."""

    SINGLE = "single"
    GRID = "grid"
    SPEAKER = "speaker"
    PICTURE_IN_PICTURE = "picture-in-picture"
    SCREEN_SPEAKER = "screen-speaker"


class Fit(Enum):
    """How a picture fills its box."""

    CONTAIN = "contain"
    """All of it, with bars."""
    COVER = "cover"
    """The whole box, with cut edges."""


@dataclass(frozen=True, slots=True)
class Seat:
    """Somebody's picture: a camera or a screen."""

    key: str
    """Track id, or the identity of somebody without a picture."""
    identity: str
    name: str
    screen: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the canvas, even on all sides, and whose picture is in it."""

    seat: Seat
    left: int
    top: int
    width: int
    height: int
    fit: Fit
    label: bool


@dataclass(frozen=True, slots=True)
class Plate:
    """Where a box's name goes, even on all sides; `width` is the most it may take."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class _Frame:
    left: float
    top: float
    width: float
    height: float


def arrange(
    kind: LayoutKind,
    main: Seat | None,
    others: Sequence[Seat],
    canvas: Size,
    *,
    labels: bool = False,
) -> tuple[Box, ...]:
    """Place a main picture and the others; drawing order is the order of the boxes.

    Kinds that need somebody else than the main picture become SINGLE while there is nobody.
    """
    if main is None:
        return ()
    rest = [seat for seat in others if seat.key != main.key][: MAX_PEOPLE - 1]
    match kind:
        case LayoutKind.GRID if rest:
            frames = _grid([main, *rest], canvas)
        case LayoutKind.SPEAKER if rest:
            frames = _speaker(main, rest, canvas)
        case LayoutKind.PICTURE_IN_PICTURE if rest:
            frames = _picture_in_picture(main, rest[0], canvas)
        case LayoutKind.SCREEN_SPEAKER if rest:
            frames = _screen_speaker(main, rest, canvas)
        case _:
            frames = [(main, _Frame(0, 0, canvas.width, canvas.height))]
    alone = len(frames) == 1
    return tuple(_box(seat, frame, canvas, labels, alone) for seat, frame in frames)


def name_plate(box: Box, canvas: Size) -> Plate | None:
    """The place for a box's name: its lower left, nearer to the edge in a small box.

    None only where not even two signs of ten pixels have room, which no layout of a 240p canvas
    comes to.
    """
    height = max(_LEAST_PLATE, min(box.height // 10, canvas.height // 18)) // 2 * 2
    roomy = box.width >= 4 * height and box.height >= 3 * height
    margin = height // 4 * 2 if roomy else 2
    width = (box.width - 2 * margin) // 2 * 2
    if width < 2 * _LEAST_PLATE or box.height < height + 2 * margin:
        return None
    return Plate(box.left + margin, box.top + box.height - height - margin, width, height)


def _box(seat: Seat, frame: _Frame, canvas: Size, labels: bool, alone: bool) -> Box:
    left, top = _even(frame.left), _even(frame.top)
    right = min(_even(frame.left + frame.width), canvas.width // 2 * 2)
    bottom = min(_even(frame.top + frame.height), canvas.height // 2 * 2)
    fit = Fit.CONTAIN if seat.screen or alone else Fit.COVER
    return Box(
        seat=seat,
        left=left,
        top=top,
        width=right - left,
        height=bottom - top,
        fit=fit,
        label=labels and not seat.screen,
    )


def _even(value: float) -> int:
    return round(value / 2) * 2


def _grid(seats: Sequence[Seat], canvas: Size) -> list[tuple[Seat, _Frame]]:
    """Equal tiles of the canvas' aspect, rows filled from the top, the last one centred."""
    count = len(seats)
    columns = next(c for c in range(1, count + 1) if c * c >= count)
    rows = -(-count // columns)
    gap = _gap(canvas)
    side = max(columns, rows)
    width = (canvas.width - gap * (side + 1)) / side
    height = (canvas.height - gap * (side + 1)) / side
    top = (canvas.height - rows * height - gap * (rows - 1)) / 2
    frames = []
    for index, seat in enumerate(seats):
        row, column = divmod(index, columns)
        in_row = min(columns, count - row * columns)
        left = (canvas.width - in_row * width - gap * (in_row - 1)) / 2
        frames.append(
            (
                seat,
                _Frame(left + column * (width + gap), top + row * (height + gap), width, height),
            )
        )
    return frames


def _speaker(main: Seat, rest: Sequence[Seat], canvas: Size) -> list[tuple[Seat, _Frame]]:
    """The main picture above a strip of the others."""
    gap = _gap(canvas)
    strip_height = canvas.height * 0.2
    tile_width = min(
        strip_height * canvas.width / canvas.height,
        (canvas.width - gap * (len(rest) + 1)) / len(rest),
    )
    tile_height = tile_width * canvas.height / canvas.width
    main_height = canvas.height - strip_height - 3 * gap
    main_width = main_height * canvas.width / canvas.height
    frames = [(main, _Frame((canvas.width - main_width) / 2, gap, main_width, main_height))]
    left = (canvas.width - len(rest) * tile_width - gap * (len(rest) - 1)) / 2
    top = canvas.height - gap - (strip_height + tile_height) / 2
    for index, seat in enumerate(rest):
        frames.append(
            (seat, _Frame(left + index * (tile_width + gap), top, tile_width, tile_height))
        )
    return frames


def _picture_in_picture(main: Seat, other: Seat, canvas: Size) -> list[tuple[Seat, _Frame]]:
    """The main picture everywhere, one other in the lower right corner."""
    margin = 2 * _gap(canvas)
    width, height = canvas.width * 0.26, canvas.height * 0.26
    corner = _Frame(canvas.width - margin - width, canvas.height - margin - height, width, height)
    return [(main, _Frame(0, 0, canvas.width, canvas.height)), (other, corner)]


def _screen_speaker(main: Seat, rest: Sequence[Seat], canvas: Size) -> list[tuple[Seat, _Frame]]:
    """A screen on the left, people in a column on the right (two columns from seven on)."""
    gap = _gap(canvas)
    columns = 1 if len(rest) <= 6 else 2
    side = canvas.width * 0.22
    screen_width = canvas.width - side - 3 * gap
    screen_height = canvas.height - 2 * gap
    frames = [(main, _Frame(gap, gap, screen_width, screen_height))]
    rows = -(-len(rest) // columns)
    tile_width = (side - gap * (columns - 1)) / columns
    tile_height = min(
        tile_width * canvas.height / canvas.width, (canvas.height - gap * (rows + 1)) / rows
    )
    top = (canvas.height - rows * tile_height - gap * (rows - 1)) / 2
    for index, seat in enumerate(rest):
        row, column = divmod(index, columns)
        left = canvas.width - gap - side + column * (tile_width + gap)
        frames.append(
            (seat, _Frame(left, top + row * (tile_height + gap), tile_width, tile_height))
        )
    return frames


def _gap(canvas: Size) -> float:
    return max(2, canvas.height // 90)
