"""Draws the test card: a running clock and counter as cells and as text, a flash and a beep."""

from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from odeon_testkit.testcard import layout
from odeon_testkit.testcard.glyphs import GlyphAtlas
from odeon_testkit.testcard.layout import CardCode

Luma = NDArray[np.uint8]

_BAR_COLOURS = (  # (Cb, Cr) of the classic bars, so that colour mistakes are seen.
    (128, 128), (44, 142), (156, 44), (72, 58), (184, 198), (100, 212), (212, 114), (128, 128),
)  # fmt: skip


class TestCard:
    """Makes planar YUV 4:2:0 frames and 48 kHz samples of one card.

    Media time zero is the first frame and the first sample; frame n belongs to n / frame_rate
    seconds. `skew_ms` delays the beeps (negative: advances them) to prove that a lip-sync check
    can fail.
    """

    __test__ = False  # Its name would make pytest collect it.

    def __init__(
        self,
        width: int = 640,
        height: int = 360,
        frame_rate: int = 15,
        *,
        skew_ms: float = 0.0,
        title: str = "Odeon",
    ) -> None:
        if width % 2 or height % 2 or width < 160 or height < 90:
            raise ValueError(f"size must be even and at least 160x90, not {width}x{height}")
        if frame_rate < 1:
            raise ValueError(f"frame rate must be positive, not {frame_rate}")
        self.width = width
        self.height = height
        self.frame_rate = frame_rate
        self.sample_rate = 48000
        self._skew_s = skew_ms / 1000
        self._title = title
        self._line_height = max(10, height // 10)
        self._glyphs = GlyphAtlas(self._line_height)
        self._background = self._draw_background()
        self._columns = [round(c * width / layout.COLUMNS) for c in range(layout.COLUMNS + 1)]

    def is_flash(self, counter: int) -> bool:
        """Whether the flash is on in this frame: for a tenth of a second, one frame at least."""
        frames = max(1, round(layout.FLASH_SECONDS * self.frame_rate))
        return counter % self.frame_rate < frames

    def frame(self, counter: int, unix_ms: int) -> Luma:
        """Frame `counter`, captured at `unix_ms`, as an array of shape (height * 3 // 2, width).

        That is the layout of `av.VideoFrame.from_ndarray(…, format="yuv420p")`.
        """
        picture = self._background.copy()
        luma = picture[: self.height]
        code = CardCode(unix_ms=unix_ms, counter=counter, flash=self.is_flash(counter))
        self._draw_code(luma, code)
        self._draw_label(luma, code)
        left, top, right, bottom = layout.FLASH.pixels(self.width, self.height)
        luma[top:bottom, left:right] = layout.WHITE_LUMA if code.flash else layout.GREY_LUMA
        self._draw_runner(luma, counter)
        return picture

    def samples(self, first: int, count: int) -> NDArray[np.float32]:
        """`count` mono samples between -1 and 1; `first` counts from media time zero."""
        time = np.arange(first, first + count, dtype=np.float64) / self.sample_rate - self._skew_s
        phase = np.mod(time, 1.0)
        tone = np.sin(2 * np.pi * layout.BEEP_HZ * phase) * 0.5
        sounding = (phase < layout.BEEP_SECONDS) & (time >= 0)
        return np.where(sounding, tone, 0.0).astype(np.float32)

    def _draw_background(self) -> Luma:
        picture = np.full((self.height * 3 // 2, self.width), 128, np.uint8)
        ramp = np.linspace(60, 180, self.width, dtype=np.uint8)
        picture[: self.height] = ramp
        chroma = picture[self.height :].reshape(2, self.height // 2, self.width // 2)
        strip = round(layout.STRIP_HEIGHT * self.height / 2) + 1
        edges = np.linspace(0, self.width // 2, len(_BAR_COLOURS) + 1).astype(int)
        for (blue, red), start, end in zip(_BAR_COLOURS, edges, edges[1:], strict=False):
            chroma[0, strip:, start:end] = blue
            chroma[1, strip:, start:end] = red
        for area in (layout.FLASH, layout.LABEL):
            left, top, right, bottom = (v // 2 for v in area.pixels(self.width, self.height))
            chroma[:, top:bottom, left:right] = 128
        left, top, right, bottom = layout.LABEL.pixels(self.width, self.height)
        picture[top:bottom, left:right] = layout.BLACK_LUMA
        return picture

    def _draw_code(self, luma: Luma, code: CardCode) -> None:
        bits = np.array(code.to_bits(), dtype=bool).reshape(layout.ROWS, layout.DATA_COLUMNS)
        for row in range(layout.ROWS):
            left, right = layout.calibration(row)
            cells = np.concatenate(([left], bits[row], [right]))
            line = np.repeat(
                np.where(cells, layout.WHITE_LUMA, layout.BLACK_LUMA).astype(np.uint8),
                np.diff(self._columns),
            )
            _, top, _, bottom = layout.cell(row, 0).pixels(self.width, self.height)
            luma[top:bottom] = line

    def _draw_label(self, luma: Luma, code: CardCode) -> None:
        left, top, right, bottom = layout.LABEL.pixels(self.width, self.height)
        when = datetime.fromtimestamp(code.unix_ms / 1000, UTC)
        lines = (
            self._title,
            f"{when:%Y-%m-%d}",
            f"{when:%H:%M:%S}.{code.unix_ms % 1000:03d}",
            f"frame {code.counter}",
        )
        for index, text in enumerate(lines):
            y = top + self._line_height // 4 + index * (self._line_height + 2)
            if y + self._line_height <= bottom:
                self._glyphs.draw(luma, text, left=left + 6, top=y, right=right)

    def _draw_runner(self, luma: Luma, counter: int) -> None:
        _, top, _, bottom = layout.RUNNER.pixels(self.width, self.height)
        luma[top:bottom] = layout.BLACK_LUMA
        size = max(4, self.width // 16)
        position = counter * max(1, self.width // (2 * self.frame_rate)) % (self.width - size)
        luma[top:bottom, position : position + size] = layout.WHITE_LUMA
