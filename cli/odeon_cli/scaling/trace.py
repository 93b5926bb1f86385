"""Loads over time: read from CSV, or made up in the shapes that autoscalers are judged by."""

import csv
import io
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from random import Random

from odeon_operator.domain.bookings import Booking
from odeon_operator.domain.reports import Metric

MONDAY = datetime(2026, 5, 4, tzinfo=UTC)
_EVENT = "event:"
_MAX_SECONDS = 31 * 86_400
_NOISE = 0.1
Points = tuple[tuple[float, int], ...]


class TraceError(ValueError):
    """A trace that cannot be read; says which line."""


class Synthetic(StrEnum):
    """Shapes of made-up load."""

    STEP = "step"
    RAMP = "ramp"
    SINE = "sine"
    FLASH_CROWD = "flash-crowd"
    BOOKINGS = "bookings"


@dataclass(frozen=True, slots=True)
class Trace:
    """A load over time, in units of the pool (slots, viewers).

    Attributes:
        start: the moment of second zero.
        seconds: its length.
        points: (second, units), each holding until the next.
        events: the part of the load that belongs to a booked event, by its name.
        bookings: events that the trace itself booked.
    """

    start: datetime
    seconds: float
    points: Points
    events: Mapping[str, Points] = field(default_factory=dict)
    bookings: tuple[Booking, ...] = ()

    def load(self, second: float) -> int:
        """Units at a second."""
        return _at(self.points, second)

    def of_event(self, name: str, second: float) -> int | None:
        """Units that belong to an event; None when the trace does not tell."""
        return _at(self.events[name], second) if name in self.events else None


def read(text: str) -> Trace:
    """Read CSV.

    Columns: `time` (seconds, or ISO 8601 with a zone), `load`, and `event:NAME` for the part of the
    load that belongs to the booking NAME.

    Raises:
        TraceError: a line is wrong.
    """
    rows = csv.DictReader(io.StringIO(text))
    columns = rows.fieldnames or []
    if "time" not in columns or "load" not in columns:
        raise TraceError("the first line must name the columns time and load")
    names = [c.removeprefix(_EVENT) for c in columns if c.startswith(_EVENT)]
    series: dict[str, list[tuple[float, int]]] = {name: [] for name in ["", *names]}
    start: datetime | None = None
    last = -1.0
    for row in rows:
        where = f"line {rows.line_num}"
        moment = _time(row["time"], where)
        start = moment if start is None else start
        second = (moment - start).total_seconds()
        if not last < second <= _MAX_SECONDS:
            raise TraceError(f"{where}: times must rise, over 31 days at most")
        last = second
        series[""].append((second, _units(row["load"], where)))
        for name in names:
            series[name].append((second, _units(row[_EVENT + name], where)))
    if start is None or last <= 0:
        raise TraceError("at least two lines of load are needed")
    events = {name: tuple(series[name]) for name in names}
    return Trace(start, last, tuple(series[""]), events)


def synthetic(shape: Synthetic, *, peak: int, metric: Metric, seed: int) -> Trace:
    """A made-up load with noise of ±10 %; the same seed makes the same."""
    random = Random(seed)
    if shape is Synthetic.BOOKINGS:
        return _day_of_bookings(random, peak, metric)
    hours, share = _SHAPES[shape]
    seconds = hours * 3600
    points = [
        (float(s), _noisy(random, peak * share(s / seconds))) for s in range(0, seconds + 1, 15)
    ]
    return Trace(MONDAY, float(seconds), tuple(points))


def _step(share: float) -> float:
    return 1.0 if 1 / 3 <= share < 2 / 3 else 0.2


def _ramp(share: float) -> float:
    return 0.05 + 0.95 * (1 - abs(2 * share - 1))


def _sine(share: float) -> float:
    return 0.55 - 0.45 * math.cos(share * 6 * math.pi)


def _flash_crowd(share: float) -> float:
    minute = share * 120
    if minute < 30:
        return 0.1
    return 0.1 + 0.9 * min(1.0, minute - 30) * math.exp(-max(0.0, minute - 31) / 20)


_SHAPES: dict[Synthetic, tuple[int, Callable[[float], float]]] = {
    Synthetic.STEP: (3, _step),
    Synthetic.RAMP: (3, _ramp),
    Synthetic.SINE: (3, _sine),
    Synthetic.FLASH_CROWD: (2, _flash_crowd),
}


def _day_of_bookings(random: Random, peak: int, metric: Metric) -> Trace:
    """Eight events from 8 to 22 o'clock: most come as booked, one runs over, one does not come."""
    bookings, parts = [], {}
    for number in range(8):
        begin = 8 * 3600 + number * 6300 + random.randrange(0, 1200, 60)
        length = random.choice([1800, 2700, 3600])
        expected = max(1, round(peak * random.uniform(0.15, 0.6)))
        name = f"event-{number + 1}"
        start = MONDAY + timedelta(seconds=begin)
        end = start + timedelta(seconds=length)
        bookings.append(Booking(name, "acme", start, end, {metric: Fraction(expected)}))
        came = 0.0 if number == 5 else random.uniform(0.75, 1.0)
        late = 1200 if number == 2 else 0
        parts[name] = _event(begin, length + late, round(expected * came))
    points = []
    times = sorted({s for part in parts.values() for s, _ in part} | set(range(0, 86_401, 60)))
    base = 0
    for second in times:
        if second % 60 == 0:
            base = _noisy(random, peak * 0.05)
        points.append((float(second), base + sum(_at(p, second) for p in parts.values())))
    return Trace(MONDAY, 86_400.0, tuple(points), parts, tuple(bookings))


def _event(begin: int, length: int, units: int) -> Points:
    """Half is there at the start, all after two minutes."""
    rise = [(float(begin + s), round(units * (0.5 + s / 240))) for s in range(0, 121, 15)]
    return ((0.0, 0), *rise, (float(begin + length), 0))


def _noisy(random: Random, units: float) -> int:
    return max(0, round(units * random.uniform(1 - _NOISE, 1 + _NOISE)))


def _at(points: Points, second: float) -> int:
    place = bisect_right(points, second, key=lambda point: point[0])
    return points[place - 1][1] if place else 0


def _time(raw: str | None, where: str) -> datetime:
    try:
        return MONDAY + timedelta(seconds=float(raw or ""))
    except (ValueError, OverflowError):
        pass
    try:
        moment = datetime.fromisoformat(raw or "")
    except ValueError:
        raise TraceError(f"{where}: {raw!r} is neither seconds nor a time") from None
    if moment.tzinfo is None:
        raise TraceError(f"{where}: {raw} has no time zone")
    return moment.astimezone(UTC)


def _units(raw: str | None, where: str) -> int:
    try:
        units = float(raw or "")
    except ValueError:
        raise TraceError(f"{where}: {raw!r} is no load") from None
    if not 0 <= units < 1e9:
        raise TraceError(f"{where}: {raw} is no load")
    return round(units)
