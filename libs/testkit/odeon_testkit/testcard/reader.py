"""Reads the test card back from decoded pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from odeon_testkit.testcard import layout
from odeon_testkit.testcard.layout import CardCode, CodeError

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Reading:
    """What a frame said, and what was seen beside the code."""

    unix_ms: int
    counter: int
    flash: bool
    flash_seen: bool
    """The flash area is lighter than the calibration's middle: seen in pixels, not read from the
    code."""
    contrast: float
    """Luma between white and black calibration cells."""


def read_luma(luma: Pixels) -> Reading | None:
    """Read a luma plane of shape (height, width), any size; None when there is no readable card."""
    if luma.ndim != 2 or luma.shape[0] < 40 or luma.shape[1] < 2 * layout.COLUMNS:
        return None
    means = _cell_means(luma)
    white_left = np.array([layout.calibration(row)[0] for row in range(layout.ROWS)])
    left, right = means[:, 0], means[:, -1]
    white = np.concatenate((left[white_left], right[~white_left]))
    black = np.concatenate((left[~white_left], right[white_left]))
    if white.min() - black.max() < layout.MIN_CONTRAST:
        return None
    threshold = (white.mean() + black.mean()) / 2
    try:
        code = CardCode.from_bits((means[:, 1:-1] > threshold).astype(int).ravel().tolist())
    except CodeError:
        return None
    return Reading(
        unix_ms=code.unix_ms,
        counter=code.counter,
        flash=code.flash,
        flash_seen=bool(_area_mean(luma, layout.FLASH) > threshold),
        contrast=float(white.mean() - black.mean()),
    )


def read_rgb(picture: Pixels) -> Reading | None:
    """Read an RGB or RGBA picture of shape (height, width, 3 or 4)."""
    red, green, blue = (picture[..., channel].astype(np.uint16) for channel in range(3))
    return read_luma(((red * 77 + green * 150 + blue * 29) >> 8).astype(np.uint8))


def _cell_means(luma: Pixels) -> NDArray[np.float64]:
    means = np.empty((layout.ROWS, layout.COLUMNS))
    for row in range(layout.ROWS):
        for column in range(layout.COLUMNS):
            means[row, column] = _area_mean(luma, layout.cell(row, column))
    return means


def _area_mean(luma: Pixels, area: layout.Area) -> float:
    """Mean of the middle half of an area, at least one pixel."""
    height, width = luma.shape
    dx, dy = (area.right - area.left) / 4, (area.bottom - area.top) / 4
    left, right = int((area.left + dx) * width), int((area.right - dx) * width)
    top, bottom = int((area.top + dy) * height), int((area.bottom - dy) * height)
    return float(luma[top : max(top + 1, bottom), left : max(left + 1, right)].mean())
