"""Where people appear."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odeon_transcoder.domain.ladder import Size
from odeon_transcoder.domain.layout import (
    MAX_PEOPLE,
    Fit,
    LayoutKind,
    Seat,
    arrange,
    name_plate,
)

CANVAS = Size(1280, 720)


def _seats(count: int, *, screen: bool = False) -> list[Seat]:
    seats = [Seat(f"t{n}", f"p{n}", f"Person {n}") for n in range(count)]
    return [Seat("screen", "p0", "Screen", screen=True), *seats] if screen else seats


@given(
    st.sampled_from(LayoutKind),
    st.integers(1, 16),
    st.sampled_from([Size(1280, 720), Size(640, 360), Size(854, 480), Size(426, 240)]),
    st.booleans(),
)
def test_boxes_are_even_lie_on_the_canvas_and_show_nobody_twice(
    kind: LayoutKind, count: int, canvas: Size, screen: bool
) -> None:
    seats = _seats(count, screen=screen)

    boxes = arrange(kind, seats[0], seats[1:], canvas, labels=True)

    assert 1 <= len(boxes) <= MAX_PEOPLE
    assert len({box.seat.key for box in boxes}) == len(boxes)
    for box in boxes:
        assert all(v % 2 == 0 for v in (box.left, box.top, box.width, box.height))
        assert box.width > 0 and box.height > 0
        assert box.left >= 0 and box.left + box.width <= canvas.width
        assert box.top >= 0 and box.top + box.height <= canvas.height


@given(
    st.sampled_from([LayoutKind.GRID, LayoutKind.SPEAKER, LayoutKind.SCREEN_SPEAKER]),
    st.integers(2, 12),
)
def test_boxes_do_not_overlap(kind: LayoutKind, count: int) -> None:
    seats = _seats(count)

    boxes = arrange(kind, seats[0], seats[1:], CANVAS)

    assert len(boxes) == count
    for i, a in enumerate(boxes):
        for b in boxes[i + 1 :]:
            apart = (
                a.left + a.width <= b.left
                or b.left + b.width <= a.left
                or a.top + a.height <= b.top
                or b.top + b.height <= a.top
            )
            assert apart, (a, b)


@pytest.mark.parametrize("kind", LayoutKind)
def test_somebody_alone_fills_the_canvas_whole(kind: LayoutKind) -> None:
    (box,) = arrange(kind, _seats(1)[0], [], CANVAS)

    assert (box.left, box.top, box.width, box.height) == (0, 0, 1280, 720)
    assert box.fit is Fit.CONTAIN


def test_a_screen_is_never_cut() -> None:
    seats = _seats(3, screen=True)

    boxes = arrange(LayoutKind.SCREEN_SPEAKER, seats[0], seats[1:], CANVAS, labels=True)

    assert boxes[0].fit is Fit.CONTAIN and not boxes[0].label
    assert boxes[0].width > CANVAS.width * 0.7
    assert all(box.fit is Fit.COVER and box.label for box in boxes[1:])


def test_the_small_picture_lies_in_the_lower_right_corner_on_top() -> None:
    seats = _seats(4)

    big, small = arrange(LayoutKind.PICTURE_IN_PICTURE, seats[0], seats[1:], CANVAS)

    assert (big.width, big.height) == (1280, 720)
    assert small.left > 640 and small.top > 360 and small.width < 400


def test_nobody_gives_no_boxes() -> None:
    assert arrange(LayoutKind.GRID, None, [], CANVAS) == ()


@given(
    st.sampled_from(LayoutKind),
    st.integers(1, MAX_PEOPLE),
    st.sampled_from([Size(1280, 720), Size(640, 360), Size(854, 480), Size(426, 240)]),
)
def test_everybody_has_room_for_a_legible_name_in_the_own_box(
    kind: LayoutKind, count: int, canvas: Size
) -> None:
    seats = _seats(count, screen=kind is LayoutKind.SCREEN_SPEAKER)

    for box in arrange(kind, seats[0], seats[1:], canvas, labels=True):
        plate = name_plate(box, canvas)
        assert plate is not None and plate.height >= 14 and plate.width >= 28
        assert all(v % 2 == 0 for v in (plate.left, plate.top, plate.width, plate.height))
        assert box.left < plate.left and plate.left + plate.width < box.left + box.width
        assert box.top < plate.top and plate.top + plate.height < box.top + box.height
