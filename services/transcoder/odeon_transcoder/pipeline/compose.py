"""Puts pictures onto the canvas: scaled by swscale, copied by numpy, in YUV 4:2:0 throughout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from odeon_transcoder.domain.ladder import Size
from odeon_transcoder.domain.layout import Box, Fit, name_plate
from odeon_transcoder.pipeline import labels
from odeon_transcoder.pipeline.labels import Stamp

Plane = NDArray[np.uint8]
Planes = tuple[Plane, Plane, Plane]

_BLACK = (16, 128, 128)
_GROUND = (24, 128, 128)


def planes_of(frame: av.VideoFrame) -> Planes:
    """Views of a yuv420p frame's planes without their padding; writing changes the frame."""
    views = []
    for index, plane in enumerate(frame.planes[:3]):
        height, width = frame.height, frame.width
        if index:
            height, width = (height + 1) // 2, (width + 1) // 2
        flat = np.frombuffer(memoryview(plane), np.uint8)
        views.append(flat.reshape(-1, plane.line_size)[:height, :width])
    return views[0], views[1], views[2]


def blank(size: Size, colour: tuple[int, int, int] = _BLACK) -> av.VideoFrame:
    """A yuv420p frame of one colour."""
    frame = av.VideoFrame(size.width, size.height, "yuv420p")
    for plane, value in zip(planes_of(frame), colour, strict=True):
        plane[...] = value
    return frame


@dataclass(slots=True)
class _Scaled:
    """A source's last picture at the size of its box."""

    of: av.VideoFrame
    box: Box
    planes: Planes
    left: int
    top: int


@dataclass(frozen=True, slots=True)
class _Composed:
    """The last result and what it was made of; boxes are None for the slate."""

    canvas: Size
    boxes: tuple[Box, ...] | None
    sources: tuple[av.VideoFrame | None, ...]
    frame: av.VideoFrame

    def is_of(
        self,
        canvas: Size,
        boxes: tuple[Box, ...] | None,
        sources: tuple[av.VideoFrame | None, ...],
    ) -> bool:
        """Whether these would give the same picture; sources are compared by identity."""
        return (
            self.canvas == canvas
            and self.boxes == boxes
            and len(self.sources) == len(sources)
            and all(mine is theirs for mine, theirs in zip(self.sources, sources, strict=True))
        )


class Compositor:
    """Draws the boxes of a layout. One instance for the programme; not thread-safe."""

    def __init__(self) -> None:
        self._scalers: dict[str, VideoReformatter] = {}
        self._scaled: dict[str, _Scaled] = {}
        self._last: _Composed | None = None

    def compose(
        self, canvas: Size, boxes: Sequence[Box], pictures: Mapping[str, av.VideoFrame]
    ) -> av.VideoFrame:
        """The composed picture; the very same object while nothing changed.

        Args:
            canvas: Size of the result.
            boxes: What goes where; a box without a picture shows its seat's name.
            pictures: By seat key, in any size and pixel format.
        """
        sources = tuple(pictures.get(box.seat.key) for box in boxes)
        last = self._last
        if last is not None and last.is_of(canvas, tuple(boxes), sources):
            return last.frame
        frame = self._draw(canvas, boxes, pictures)
        self._last = _Composed(canvas, tuple(boxes), sources, frame)
        self._forget({box.seat.key for box in boxes})
        return frame

    def slate(self, canvas: Size) -> av.VideoFrame:
        """The picture for when nobody publishes."""
        last = self._last
        if last is not None and last.is_of(canvas, None, ()):
            return last.frame
        frame = blank(canvas)
        still = labels.slate(canvas.width, canvas.height)
        for target, source in zip(planes_of(frame), still.planes, strict=True):
            target[...] = source[: target.shape[0], : target.shape[1]]
        self._last = _Composed(canvas, None, (), frame)
        return frame

    def _draw(
        self, canvas: Size, boxes: Sequence[Box], pictures: Mapping[str, av.VideoFrame]
    ) -> av.VideoFrame:
        alone = len(boxes) == 1 and not boxes[0].label
        if alone and (picture := pictures.get(boxes[0].seat.key)) is not None:
            whole = _as_is(picture, canvas)
            if whole is not None:
                return whole
        frame = blank(canvas, _GROUND if len(boxes) > 1 else _BLACK)
        target = planes_of(frame)
        for box in boxes:
            picture = pictures.get(box.seat.key)
            if picture is None:
                _draw_tile(target, box)
            else:
                self._draw_picture(target, box, picture)
            if box.label:
                _draw_label(target, box, canvas)
        return frame

    def _draw_picture(self, target: Planes, box: Box, picture: av.VideoFrame) -> None:
        scaled = self._scaled.get(box.seat.key)
        if scaled is None or scaled.of is not picture or scaled.box != box:
            scaled = self._scale(box, picture)
            self._scaled[box.seat.key] = scaled
        if scaled.planes[0].shape != (box.height, box.width):
            _fill(target, box, _BLACK)
        _blit(target, scaled.planes, scaled.left, scaled.top)

    def _scale(self, box: Box, picture: av.VideoFrame) -> _Scaled:
        width, height = _scaled_size(box, picture)
        scaler = self._scalers.setdefault(box.seat.key, VideoReformatter())
        # Area averaging keeps text of a shared screen legible when it shrinks a lot.
        shrinks = picture.height >= 2 * height
        frame = scaler.reformat(
            picture,
            width,
            height,
            "yuv420p",
            interpolation=Interpolation.AREA if shrinks else Interpolation.BILINEAR,
        )
        crop_x = max(0, (width - box.width) // 4 * 2)
        crop_y = max(0, (height - box.height) // 4 * 2)
        shown_w, shown_h = min(width, box.width), min(height, box.height)
        luma, *chroma = planes_of(frame)
        half = tuple(
            plane[
                crop_y // 2 : crop_y // 2 + shown_h // 2, crop_x // 2 : crop_x // 2 + shown_w // 2
            ]
            for plane in chroma
        )
        return _Scaled(
            of=picture,
            box=box,
            planes=(luma[crop_y : crop_y + shown_h, crop_x : crop_x + shown_w], half[0], half[1]),
            left=box.left + (box.width - shown_w) // 4 * 2,
            top=box.top + (box.height - shown_h) // 4 * 2,
        )

    def _forget(self, keys: set[str]) -> None:
        for gone in self._scaled.keys() - keys:
            del self._scaled[gone]
            self._scalers.pop(gone, None)


def _as_is(picture: av.VideoFrame, canvas: Size) -> av.VideoFrame | None:
    """The source itself when every rung can scale it straight to the canvas' shape."""
    same_shape = abs(picture.width * canvas.height - picture.height * canvas.width) <= (
        # 854x480 and 426x240 are 16:9 but for rounding.
        max(canvas.width, canvas.height) * 2
    )
    even = picture.width % 2 == 0 and picture.height % 2 == 0
    return picture if same_shape and even and picture.format.name == "yuv420p" else None


def _scaled_size(box: Box, picture: av.VideoFrame) -> tuple[int, int]:
    across, down = box.width / picture.width, box.height / picture.height
    scale = min(across, down) if box.fit is Fit.CONTAIN else max(across, down)
    width = max(2, round(picture.width * scale / 2) * 2)
    height = max(2, round(picture.height * scale / 2) * 2)
    if box.fit is Fit.CONTAIN:
        return min(width, box.width), min(height, box.height)
    return max(width, box.width), max(height, box.height)


def _blit(target: Planes, source: Planes, left: int, top: int) -> None:
    for index in range(3):
        x, y = (left, top) if index == 0 else (left // 2, top // 2)
        height, width = source[index].shape
        target[index][y : y + height, x : x + width] = source[index]


def _fill(target: Planes, box: Box, colour: tuple[int, int, int]) -> None:
    for index in range(3):
        half = 1 if index == 0 else 2
        target[index][
            box.top // half : (box.top + box.height) // half,
            box.left // half : (box.left + box.width) // half,
        ] = colour[index]


def _draw_tile(target: Planes, box: Box) -> None:
    still = labels.tile(box.seat.name or box.seat.identity, box.width, box.height)
    _blit(target, still.planes, box.left, box.top)


def _draw_label(target: Planes, box: Box, canvas: Size) -> None:
    plate = name_plate(box, canvas)
    if plate is not None:
        name = box.seat.name or box.seat.identity
        _blend(target, labels.label(name, plate.width, plate.height), plate.left, plate.top)


def _blend(target: Planes, stamp: Stamp, left: int, top: int) -> None:
    height, width = stamp.luma.shape
    luma = target[0][top : top + height, left : left + width]
    luma[...] = _mix(luma, stamp.luma, stamp.alpha)
    for plane in target[1:]:
        chroma = plane[top // 2 : (top + height) // 2, left // 2 : (left + width) // 2]
        chroma[...] = _mix(chroma, 128, stamp.chroma_alpha)


def _mix(under: Plane, over: Plane | int, alpha: NDArray[np.uint16]) -> Plane:
    mixed = (under * (256 - alpha) + over * alpha) >> 8
    return mixed.astype(np.uint8)
