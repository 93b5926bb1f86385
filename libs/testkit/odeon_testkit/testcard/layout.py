"""Where things are on the test card, and how the code cells carry clock and counter.

All positions are fractions of the picture, so the card is read at any size and aspect.

The code strip covers the full width and the top 24 %: 4 rows of 26 equal cells. The first and the
last cell of a row calibrate: white, black, white, black down the left edge, the opposite down the
right one. The 96 cells between them are bits, white is 1, row by row from the top left, most
significant first:

    48 bits  unix time in milliseconds
    24 bits  frame counter, modulo 2^24
     8 bits  flags: bit 0 is set while the flash is on
    16 bits  CRC-16/CCITT-FALSE (polynomial 0x1021, start 0xFFFF) of the ten bytes before

A reader averages the middle half of each cell; what is lighter than the mean of the calibration
cells is 1. At 426x240 a cell is 16 by 14 pixels, two macroblocks of x264 at most, which survives
300 kb/s.

The flash covers FLASH; it is white for FLASH_SECONDS from every frame whose counter is a multiple
of the frame rate, and the beep (BEEP_HZ, BEEP_SECONDS) starts at the same instant.
"""

from dataclasses import dataclass

ROWS = 4
COLUMNS = 26
DATA_COLUMNS = COLUMNS - 2
BITS = ROWS * DATA_COLUMNS
STRIP_HEIGHT = 0.24

WHITE_LUMA = 235
BLACK_LUMA = 16
GREY_LUMA = 44
MIN_CONTRAST = 50
"""Calibration cells that differ by less than this are no test card."""

BEEP_HZ = 1000
BEEP_SECONDS = 0.1
FLASH_SECONDS = 0.1

_PAYLOAD_BYTES = 10
_CLOCK_BITS = 48
_COUNTER_BITS = 24
_FLASH_FLAG = 1


@dataclass(frozen=True, slots=True)
class Area:
    """A rectangle in fractions of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in pixels of a picture of this size."""
        return (
            round(self.left * width),
            round(self.top * height),
            round(self.right * width),
            round(self.bottom * height),
        )


FLASH = Area(0.70, 0.40, 0.95, 0.82)
LABEL = Area(0.04, 0.36, 0.66, 0.82)
RUNNER = Area(0.0, 0.90, 1.0, 1.0)


class CodeError(ValueError):
    """The cells hold no valid code: bad checksum, wrong calibration or wrong number of bits."""


@dataclass(frozen=True, slots=True)
class CardCode:
    """What one frame says about itself."""

    unix_ms: int
    counter: int
    flash: bool

    def to_bits(self) -> list[int]:
        """The 96 cells, in reading order."""
        payload = (
            (self.unix_ms % (1 << _CLOCK_BITS)).to_bytes(6, "big")
            + (self.counter % (1 << _COUNTER_BITS)).to_bytes(3, "big")
            + bytes([_FLASH_FLAG if self.flash else 0])
        )
        word = payload + crc16(payload).to_bytes(2, "big")
        return [(byte >> shift) & 1 for byte in word for shift in range(7, -1, -1)]

    @classmethod
    def from_bits(cls, bits: list[int]) -> "CardCode":
        """Read the cells.

        Raises:
            CodeError: wrong number of bits or a checksum that does not match.
        """
        if len(bits) != BITS:
            raise CodeError(f"{len(bits)} bits instead of {BITS}")
        number = 0
        for bit in bits:
            number = number << 1 | bit
        word = number.to_bytes(_PAYLOAD_BYTES + 2, "big")
        payload = word[:_PAYLOAD_BYTES]
        if crc16(payload) != int.from_bytes(word[_PAYLOAD_BYTES:], "big"):
            raise CodeError("checksum does not match")
        return cls(
            unix_ms=int.from_bytes(payload[:6], "big"),
            counter=int.from_bytes(payload[6:9], "big"),
            flash=bool(payload[9] & _FLASH_FLAG),
        )


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


def calibration(row: int) -> tuple[bool, bool]:
    """Whether the (first, last) cell of a row is white."""
    left = row % 2 == 0
    return left, not left


def cell(row: int, column: int) -> Area:
    """The rectangle of one cell of the strip."""
    height = STRIP_HEIGHT / ROWS
    return Area(
        left=column / COLUMNS,
        top=row * height,
        right=(column + 1) / COLUMNS,
        bottom=(row + 1) * height,
    )
