"""What a page showed during a while, and when it stood still.

A gap counts from the beginning of the while and to its end as well: a player that shows nothing
at all, or nothing any more, has stalled, though no two of its frames are far apart.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

STALL_S = 0.25
"""A longer gap between frames is a stall. At 30 fps that is more than seven frames in a row. What
browsers call a freeze (freezeCount in W3C's webrtc-stats: three frames, at least one and 150 ms)
would begin at 183 ms; the rest is for a page on a busy machine, which hears of a frame late."""

_FRAMES = """began => ({ended: Date.now(), frames: window.__odeon.glass.samples
  .filter(s => s.at > began).map(s => [s.at, s.latencyMs])})"""


@dataclass(frozen=True, slots=True)
class Shown:
    """Frames that a page presented, in Unix milliseconds of the browser's clock.

    Attributes:
        began, ended: of the while.
        frames: (presented, latency in ms) of each, in order.
    """

    began: float
    ended: float
    frames: tuple[tuple[float, float], ...]

    @property
    def latencies_ms(self) -> list[float]:
        """Glass to glass of every frame."""
        return [latency for _, latency in self.frames]

    @property
    def frames_per_second(self) -> float:
        """Over the whole while."""
        return len(self.frames) / (self.ended - self.began) * 1000

    @property
    def longest_gap_s(self) -> float:
        """Longest time without a new frame."""
        return max(self._gaps_s())

    @property
    def stalls(self) -> int:
        """How often it stood still."""
        return sum(gap > STALL_S for gap in self._gaps_s())

    def _gaps_s(self) -> list[float]:
        # A frame is dated by when it is due on the screen: the last may lie a moment ahead.
        ended = max([self.ended, *(at for at, _ in self.frames[-1:])])
        return gaps_s(self.began, (at for at, _ in self.frames), ended)


def gaps_s(began_ms: float, frames_ms: Iterable[float], ended_ms: float) -> list[float]:
    """Seconds between frames, and between them and both ends of a while."""
    times = (began_ms, *frames_ms, ended_ms)
    return [(after - before) / 1000 for before, after in pairwise(times)]


async def shown_on(page: Any, seconds: float) -> Shown:
    """What a debugged watch page that shows the test card presents from now on."""
    began = await page.evaluate("Date.now()")
    await asyncio.sleep(seconds)
    found = await page.evaluate(_FRAMES, began)
    return Shown(began, found["ended"], tuple((at, latency) for at, latency in found["frames"]))
