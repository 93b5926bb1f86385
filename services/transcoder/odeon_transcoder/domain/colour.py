"""Which colours a received picture has. Every rendition has those of BT.709, limited range."""

from enum import Enum

RENDITION_CODE = 1
"""BT.709 as matrix, primaries and transfer characteristics (ITU-T H.273, tables 2 to 4)."""


class Matrix(Enum):
    """How red, green and blue became luma and chroma; values are libavfilter's names."""

    BT601 = "smpte170m"
    BT709 = "bt709"
    FCC = "fcc"
    SMPTE240M = "smpte240m"
    BT2020 = "bt2020ncl"


_BY_CODE = {
    1: Matrix.BT709,
    4: Matrix.FCC,
    7: Matrix.SMPTE240M,
    9: Matrix.BT2020,
    10: Matrix.BT2020,
}


def matrix_of(code: int) -> Matrix:
    """The matrix of a received picture by its code of H.273 table 4.

    Without a code it is BT.601, whatever the size: VP8 knows no other (RFC 6386 section 9.2), and
    browsers make all that they send that way and show what they receive that way. Guessing by the
    size, as players of files do, would be wrong for every camera of 720 lines.
    """
    return _BY_CODE.get(code, Matrix.BT601)
