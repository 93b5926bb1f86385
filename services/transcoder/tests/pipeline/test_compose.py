"""Every layout against its golden frame.

To renew them after a wanted change: ODEON_WRITE_GOLDEN=1 pytest …/test_compose.py; look at each.
"""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from odeon_transcoder.domain.director import LayoutChoice, direct
from odeon_transcoder.domain.ladder import Size
from odeon_transcoder.domain.layout import Box, LayoutKind, Plate, Seat, arrange, name_plate
from odeon_transcoder.pipeline import labels
from odeon_transcoder.pipeline.compose import Compositor, blank, planes_of
from PIL import Image

GOLDEN = Path(__file__).parent / "golden"
CANVAS = Size(640, 360)
NAMES = (
    *("Alice", "王小明", "Bob", "陈美丽", "Éloïse", "Zoë"),
    *("李雷", "Mallory", "韩梅梅", "Kim", "Ana", "Io"),
)

Gray = NDArray[np.float64]


def _picture(number: int, size: Size = Size(320, 180)) -> av.VideoFrame:
    """Something with edges, colour, a top and a side, different for everybody."""
    y, x = np.mgrid[0 : size.height, 0 : size.width]
    rgb = np.zeros((size.height, size.width, 3), np.uint8)
    rgb[..., 0] = (x * 8 // size.width * 32 + 40 * number) % 256
    rgb[..., 1] = (y * 8 // size.height * 32 + 90 * number) % 256
    rgb[..., 2] = 60 + 15 * (number % 13)
    rgb[: size.height // 6, : size.width // 3] = 250
    ring = np.hypot(x - size.width / 2, y - size.height / 2) - size.height / 3
    rgb[np.abs(ring) < size.height / 40] = 0
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")


def _boxes(kind: LayoutKind, people: int, *, screen: bool, label: bool) -> tuple[Box, ...]:
    seats = [Seat(f"t{n}", f"p{n}", NAMES[n]) for n in range(people)]
    if screen:
        seats.append(Seat("screen", "p0", "Screen", screen=True))
    main, others = direct(LayoutChoice(kind), seats, None)
    return arrange(kind, main, others, CANVAS, labels=label)


def _composed(
    kind: LayoutKind, people: int, *, screen: bool = False, label: bool = True
) -> av.VideoFrame:
    pictures = {f"t{n}": _picture(n) for n in range(people)}
    pictures["screen"] = _picture(20, Size(800, 600))
    boxes = _boxes(kind, people, screen=screen, label=label)
    return Compositor().compose(CANVAS, boxes, pictures)


def _slate() -> av.VideoFrame:
    return Compositor().slate(CANVAS)


def _with_tile() -> av.VideoFrame:
    seats = [Seat(f"t{n}", f"p{n}", NAMES[n]) for n in range(3)]
    boxes = arrange(LayoutKind.GRID, seats[0], seats[1:], CANVAS)
    return Compositor().compose(CANVAS, boxes, {"t0": _picture(0), "t2": _picture(2)})


@dataclass(frozen=True)
class _Case:
    """A layout with so many people, named or not."""

    kind: LayoutKind
    people: int
    screen: bool = False

    def frame(self, *, label: bool = True) -> av.VideoFrame:
        return _composed(self.kind, self.people, screen=self.screen, label=label)

    def named(self) -> list[tuple[Box, Plate]]:
        """The boxes that must show a name, and where."""
        boxes = _boxes(self.kind, self.people, screen=self.screen, label=True)
        plates = [(box, name_plate(box, CANVAS)) for box in boxes if not box.seat.screen]
        return [(box, plate) for box, plate in plates if plate is not None]


LAYOUTS = {
    "single-with-bars": _Case(LayoutKind.SINGLE, 0, screen=True),
    "single-with-label": _Case(LayoutKind.SINGLE, 2),
    "grid-2": _Case(LayoutKind.GRID, 2),
    "grid-5": _Case(LayoutKind.GRID, 5),
    "grid-12": _Case(LayoutKind.GRID, 12),
    "speaker-4": _Case(LayoutKind.SPEAKER, 4),
    "speaker-12": _Case(LayoutKind.SPEAKER, 12),
    "picture-in-picture": _Case(LayoutKind.PICTURE_IN_PICTURE, 3),
    "screen-speaker-3": _Case(LayoutKind.SCREEN_SPEAKER, 3, screen=True),
    "screen-speaker-11": _Case(LayoutKind.SCREEN_SPEAKER, 11, screen=True),
}
CASES: dict[str, Callable[[], av.VideoFrame]] = {
    **{name: case.frame for name, case in LAYOUTS.items()},
    "grid-with-tile": _with_tile,
    "slate": _slate,
}
EVERY_COUNT = [
    _Case(LayoutKind.SINGLE, 1),
    *(_Case(LayoutKind.GRID, people) for people in range(2, 13)),
    *(_Case(LayoutKind.SPEAKER, people) for people in range(2, 13)),
    *(_Case(LayoutKind.PICTURE_IN_PICTURE, people) for people in range(2, 13)),
    *(_Case(LayoutKind.SCREEN_SPEAKER, people, screen=True) for people in range(1, 12)),
]


@pytest.mark.parametrize("name", CASES)
def test_a_layout_looks_as_it_always_did(name: str) -> None:
    image = _image(CASES[name]())
    path = GOLDEN / f"{name}.png"
    if os.environ.get("ODEON_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        image.save(path, optimize=True)

    golden = Image.open(path).convert("RGB")

    for channel in range(3):
        seen = np.asarray(image, np.float64)[..., channel]
        wanted = np.asarray(golden, np.float64)[..., channel]
        assert ssim(seen, wanted) >= 0.97


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_name_looks_as_it_always_did(name: str) -> None:
    """The whole picture hardly changes when its names are missing, so each is looked at alone."""
    seen, wanted = _image(LAYOUTS[name].frame()), Image.open(GOLDEN / f"{name}.png")

    for box, plate in LAYOUTS[name].named():
        assert _similar(seen, wanted, plate) >= 0.97, box.seat.name


@pytest.mark.parametrize("case", EVERY_COUNT, ids=lambda c: f"{c.kind.value}-{c.people}")
def test_everybody_has_a_name_in_every_layout(case: _Case) -> None:
    named, without = _image(case.frame()), _image(case.frame(label=False))
    people = _boxes(case.kind, case.people, screen=case.screen, label=True)
    plates = {box.seat.key: plate for box, plate in case.named()}

    for box in people:
        if not box.seat.screen:
            assert _similar(named, without, plates[box.seat.key]) < 0.9, box.seat.name


@pytest.mark.parametrize("name", ["grid-2", "grid-12", "speaker-12", "screen-speaker-11"])
def test_a_chinese_name_in_empty_boxes_would_be_seen(name: str) -> None:
    case, wanted = LAYOUTS[name], Image.open(GOLDEN / f"{name}.png")
    boxes = [
        # No CJK font has hieroglyphs: each becomes the box that stands for a missing glyph.
        replace(box, seat=replace(box.seat, name=re.sub(r"[\u4e00-\u9fff]", "𓀀", box.seat.name)))
        for box in _boxes(case.kind, case.people, screen=case.screen, label=True)
    ]
    pictures = {
        box.seat.key: _picture(int(box.seat.key[1:])) for box in boxes if not box.seat.screen
    }
    seen = _image(Compositor().compose(CANVAS, boxes, pictures))

    for box, plate in case.named():
        if not box.seat.name.isascii() and box.seat.name[0] >= "\u4e00":
            assert _similar(seen, wanted, plate) < 0.97, box.seat.name


def test_ssim_sees_a_wrong_layout() -> None:
    right = np.asarray(_image(_composed(LayoutKind.GRID, 5)).convert("L"), np.float64)
    wrong = np.asarray(_image(_composed(LayoutKind.SPEAKER, 5)).convert("L"), np.float64)

    assert ssim(right, right) == pytest.approx(1.0)
    assert ssim(right, wrong) < 0.6


def test_a_source_of_the_canvas_shape_is_passed_on_without_a_copy() -> None:
    seat, picture = Seat("t", "p", "P"), _picture(1, Size(1280, 720))
    boxes = arrange(LayoutKind.SINGLE, seat, [], CANVAS)

    assert Compositor().compose(CANVAS, boxes, {"t": picture}) is picture


def test_nothing_is_drawn_twice_while_nothing_changes() -> None:
    compositor = Compositor()
    seats = [Seat("a", "a", "A"), Seat("b", "b", "B")]
    boxes = arrange(LayoutKind.GRID, seats[0], seats[1:], CANVAS)
    pictures = {"a": _picture(0), "b": _picture(1)}

    first = compositor.compose(CANVAS, boxes, pictures)

    assert compositor.compose(CANVAS, boxes, dict(pictures)) is first
    assert compositor.compose(CANVAS, boxes, {**pictures, "b": _picture(2)}) is not first


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "nv12", "gray"])
@pytest.mark.parametrize("size", [Size(321, 181), Size(2, 2), Size(180, 640), Size(1920, 1080)])
def test_pictures_of_any_size_and_format_are_composed(size: Size, pixel_format: str) -> None:
    seats = [Seat("a", "a", "A"), Seat("b", "b", "B")]
    boxes = arrange(LayoutKind.SPEAKER, seats[0], seats[1:], CANVAS, labels=True)
    odd = _picture(3, size).reformat(format=pixel_format)

    frame = Compositor().compose(CANVAS, boxes, {"a": odd, "b": odd})

    assert (frame.width, frame.height, frame.format.name) == (640, 360, "yuv420p")


def test_planes_are_views_into_the_frame() -> None:
    frame = blank(Size(426, 240))

    planes_of(frame)[0][10, 20] = 200

    assert frame.to_ndarray()[10, 20] == 200


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Alice", "Alice"),
        ("  a\n\tb  ", "ab"),
        ("evil\u202eecila", "evilecila"),
        ("z\u200bw", "zw"),
        ("x" * 60, "x" * 39 + "…"),
        ("王小明", "王小明"),
    ],
)
def test_names_are_shown_without_what_could_fool_a_reader(name: str, shown: str) -> None:
    assert labels.clean_name(name) == shown


def test_a_chinese_name_is_drawn_with_a_font_that_has_it() -> None:
    ink = {name: int(labels.label(name, 400, 40).luma.sum()) for name in ("王小明", "陈美丽")}

    assert len(set(ink.values())) == 2, "both are boxes: no CJK font is installed"


def _similar(a: Image.Image, b: Image.Image, plate: Plate) -> float:
    """SSIM of the left of a plate, where even a short name is."""
    width = min(plate.width, 3 * plate.height)
    area = (plate.left, plate.top, plate.left + width, plate.top + plate.height)
    grays = [np.asarray(image.convert("L").crop(area), np.float64) for image in (a, b)]
    return ssim(grays[0], grays[1])


def _image(frame: av.VideoFrame) -> Image.Image:
    return Image.fromarray(frame.to_ndarray(format="rgb24"))


def ssim(a: Gray, b: Gray) -> float:
    """Structural similarity (Wang et al. 2004) over 8x8 windows."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    ma, mb = _windows(a), _windows(b)
    va, vb = _windows(a * a) - ma * ma, _windows(b * b) - mb * mb
    cov = _windows(a * b) - ma * mb
    score = ((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))
    return float(score.mean())


def _windows(values: Gray, size: int = 8) -> Gray:
    """Mean of every size x size window."""
    total = np.pad(values.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inner = total[size:, size:] - total[:-size, size:] - total[size:, :-size]
    windows: Gray = (inner + total[:-size, :-size]) / size**2
    return windows
