"""How long a pod takes from its creation to its first reading, learned from the last ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from math import ceil

KEPT = 200
"""Samples kept: at p95 ten of them are worse, enough that one slow image pull does not decide."""
ENOUGH = 5
UNLEARNED = timedelta(seconds=180)
"""Assumed until `ENOUGH` starts were seen: an image pull on a cold node, and the ~90 s that a GPU
node takes from Ready to having allocatable GPUs (NVIDIA k8s-device-plugin#291)."""


@dataclass(frozen=True, slots=True)
class ColdStarts:
    """The last cold starts in seconds, the newest last."""

    samples: tuple[float, ...] = ()

    def learned(self, seconds: float) -> "ColdStarts":
        """With one more sample."""
        return ColdStarts((*self.samples, seconds)[-KEPT:])

    def quantile(self, percent: int) -> timedelta:
        """Nearest-rank quantile; not below `UNLEARNED` before enough was learned."""
        known = timedelta(seconds=_nearest_rank(self.samples, percent)) if self.samples else None
        if len(self.samples) >= ENOUGH and known is not None:
            return known
        return max(known or UNLEARNED, UNLEARNED)


def lead(asked: timedelta | None, starts: ColdStarts, safety: Fraction) -> timedelta:
    """How long before a booked start its capacity is wanted; None is Auto: p95 times safety."""
    return asked if asked is not None else starts.quantile(95) * float(safety)


def _nearest_rank(samples: Sequence[float], percent: int) -> float:
    ranked = sorted(samples)
    return ranked[max(0, ceil(Fraction(percent * len(ranked), 100)) - 1)]
