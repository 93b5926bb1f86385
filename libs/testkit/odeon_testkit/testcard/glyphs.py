"""Text for the label, drawn once per character and copied from then on."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Luma = NDArray[np.uint8]


class GlyphAtlas:
    """Draws short lines of text into a luma plane at the price of a few copies."""

    def __init__(self, line_height: int) -> None:
        self._font = ImageFont.load_default(size=max(8, line_height * 3 // 4))
        self._line_height = line_height
        self._glyphs: dict[str, Luma] = {}

    def draw(self, plane: Luma, text: str, *, left: int, top: int, right: int) -> None:
        """Draw `text` at (left, top), clipped at `right` and at the plane's edges."""
        bottom = min(top + self._line_height, plane.shape[0])
        for character in text:
            glyph = self._glyph(character)
            end = min(left + glyph.shape[1], right, plane.shape[1])
            if end <= left:
                return
            plane[top:bottom, left:end] = glyph[: bottom - top, : end - left]
            left = end

    def _glyph(self, character: str) -> Luma:
        glyph = self._glyphs.get(character)
        if glyph is None:
            # Digits share one width, so that a running clock does not jitter.
            width = self._font.getlength("0" if character.isdigit() else character)
            image = Image.new("L", (max(1, round(width) + 1), self._line_height), 16)
            ImageDraw.Draw(image).text((0, 0), character, font=self._font, fill=235)
            glyph = np.asarray(image, dtype=np.uint8)
            self._glyphs[character] = glyph
        return glyph
