"""The test card: a picture and a beep that say when they were made, and the reader of both.

`TestCard` draws frames and beeps, `read_luma` and `beep_onsets` get clock, counter, flash and beep
back out of decoded media. `layout` describes the picture; `web/sdk/src/testcard.ts` reads it too.
"""

from odeon_testkit.testcard.beep import beep_onsets
from odeon_testkit.testcard.card import TestCard
from odeon_testkit.testcard.layout import CardCode, CodeError
from odeon_testkit.testcard.lipsync import lip_sync_errors
from odeon_testkit.testcard.reader import Reading, read_luma, read_rgb

__all__ = [
    "CardCode",
    "CodeError",
    "Reading",
    "TestCard",
    "beep_onsets",
    "lip_sync_errors",
    "read_luma",
    "read_rgb",
]
