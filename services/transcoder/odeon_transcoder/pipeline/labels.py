"""Text in the picture: name labels, tiles for people without a camera, the slate.

Pillow draws each once into luma and alpha; blending is a few numpy operations a frame.
"""

import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from odeon_transcoder.domain.ladder import Size

_FONT_FILES = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
)
"""First one that exists; Debian's fonts-noto-cjk has Chinese names, the last resort has none."""

_MAX_NAME = 40
_TILE_LUMA = (58, 74, 90, 66)

Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Grey text with transparency: luma, and alpha of 0 to 256 at full and at half size."""

    luma: Plane
    alpha: NDArray[np.uint16]
    chroma_alpha: NDArray[np.uint16]


@dataclass(frozen=True, slots=True)
class StillPicture:
    """A drawn picture, as the three planes of YUV 4:2:0."""

    planes: tuple[Plane, Plane, Plane]


@lru_cache(maxsize=8)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The first font of the list that is installed, else Pillow's own."""
    for name in _FONT_FILES:
        if Path(name).exists():
            return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)


def clean_name(name: str) -> str:
    """A name without control, direction and invisible characters, at most 40 long."""
    shown = "".join(c for c in name if unicodedata.category(c)[0] not in "C" and c.isprintable())
    shown = " ".join(shown.split())
    return shown if len(shown) <= _MAX_NAME else shown[: _MAX_NAME - 1] + "…"


@lru_cache(maxsize=64)
def label(name: str, max_width: int, height: int) -> Stamp:
    """A name on a dark rounded plate, for the lower left of a box; even in size."""
    size = max(10, height * 5 // 8)
    face = font(size)
    text = _fitted(clean_name(name), face, max_width - size)
    width = min(max_width, round(face.getlength(text)) + size) // 2 * 2
    alpha = Image.new("L", (width, height), 0)
    ImageDraw.Draw(alpha).rounded_rectangle((0, 0, width - 1, height - 1), height // 4, fill=150)
    letters = Image.new("L", (width, height), 0)
    ImageDraw.Draw(letters).text((size // 2, height // 2), text, font=face, fill=255, anchor="lm")
    ink = np.asarray(letters, np.uint16)
    cover = np.maximum(np.asarray(alpha, np.uint16), ink)
    return Stamp(
        luma=(16 + ink * 219 // 255).astype(np.uint8),
        alpha=cover + (cover > 127),
        chroma_alpha=(cover + (cover > 127))[::2, ::2],
    )


@lru_cache(maxsize=16)
def tile(name: str, width: int, height: int) -> StillPicture:
    """What stands for somebody without a picture: the name on a plain ground."""
    ground = _TILE_LUMA[sum(name.encode()) % len(_TILE_LUMA)]
    size = max(12, min(height // 6, width // 8))
    return _text_picture(Size(width, height), ground, [(clean_name(name) or "…", size)])


@lru_cache(maxsize=4)
def slate(width: int, height: int) -> StillPicture:
    """What the audience sees while nobody publishes."""
    lines = [("马上回来", height // 9), ("We will be right back", height // 16)]
    return _text_picture(Size(width, height), 30, lines)


def _text_picture(size: Size, ground: int, lines: list[tuple[str, int]]) -> StillPicture:
    image = Image.new("L", (size.width, size.height), ground)
    draw = ImageDraw.Draw(image)
    heights = [round(points * 1.5) for _, points in lines]
    y = (size.height - sum(heights)) / 2
    for (text, points), height in zip(lines, heights, strict=True):
        face = font(points)
        shown = _fitted(text, face, size.width * 9 // 10)
        draw.text((size.width / 2, y + height / 2), shown, font=face, fill=225, anchor="mm")
        y += height
    chroma = np.full((size.height // 2, size.width // 2), 128, np.uint8)
    return StillPicture((np.asarray(image, np.uint8), chroma, chroma))


def _fitted(text: str, face: ImageFont.FreeTypeFont | ImageFont.ImageFont, max_width: float) -> str:
    if face.getlength(text) <= max_width:
        return text
    while text and face.getlength(text + "…") > max_width:
        text = text[:-1]
    return text + "…"
