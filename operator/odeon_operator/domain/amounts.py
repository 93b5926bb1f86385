"""Amounts that are a number of pods or a percentage, and the spare capacity made of them."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from odeon_runtime.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class Count:
    """So many pods."""

    pods: int

    def __str__(self) -> str:
        return str(self.pods)


@dataclass(frozen=True, slots=True)
class Percent:
    """So many percent of something that the field names."""

    percent: int

    def __str__(self) -> str:
        return f"{self.percent}%"


Amount = Count | Percent


def parse(raw: int | str, *, field: str) -> Amount:
    """Read `3` or `"20%"`.

    Raises:
        InvalidArgument: it is neither, or negative.
    """
    if isinstance(raw, int) and not isinstance(raw, bool):
        amount: Amount = Count(raw)
        value = raw
    elif isinstance(raw, str) and raw.endswith("%") and raw[:-1].isascii() and raw[:-1].isdigit():
        value = int(raw[:-1])
        amount = Percent(value)
    else:
        raise InvalidArgument(field=field, problem=f'{raw!r} is neither a number nor like "20%"')
    if value < 0:
        raise InvalidArgument(field=field, problem=f"{raw} is negative")
    return amount


def rounded_up(amount: Amount, whole: int) -> int:
    """An amount of `whole` pods, a started pod counting as one."""
    if isinstance(amount, Count):
        return amount.pods
    return ceil(Fraction(whole * amount.percent, 100))


def rounded_down(amount: Amount, whole: int) -> int:
    """An amount of `whole` pods, only complete ones."""
    if isinstance(amount, Count):
        return amount.pods
    return floor(Fraction(whole * amount.percent, 100))


def with_buffer(need: Fraction, buffer: Amount) -> Fraction:
    """Pods that carry `need` pods' worth of load and leave the buffer free.

    A count adds that many pods. A percentage is the share of the *result* that stays free, so
    for whole pods this is Agones' `ceil(allocated * 100 / (100 - pct))` (FleetAutoscaler, Buffer).
    """
    if isinstance(buffer, Count):
        return need + buffer.pods
    return need * 100 / (100 - buffer.percent)


def check_buffer(buffer: Amount, *, field: str) -> Amount:
    """A buffer is at most 99 %: at 100 % no number of pods would do.

    Raises:
        InvalidArgument: it is more.
    """
    if isinstance(buffer, Percent) and buffer.percent > 99:
        raise InvalidArgument(
            field=field, problem=f"{buffer} leaves no pod for the load; 99% at most"
        )
    return buffer
