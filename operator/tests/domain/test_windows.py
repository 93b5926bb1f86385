from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odeon_operator.domain import windows
from odeon_operator.domain.windows import ActivePeriod, Always, Between, holds
from odeon_runtime.errors import InvalidArgument

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def test_always_holds_and_an_open_end_never_closes() -> None:
    assert holds(Always(), NOON)
    assert holds(Between(None, None), NOON)
    assert not holds(Between(None, NOON), NOON)
    assert holds(Between(NOON, None), NOON)


@given(st.lists(st.integers(1, 86_400), min_size=2, max_size=5), st.data())
def test_windows_that_meet_leave_no_moment_out_and_share_none(
    lengths: list[int], data: st.DataObject
) -> None:
    edges = [NOON]
    for length in lengths:
        edges.append(edges[-1] + timedelta(seconds=length))
    chain = [Between(a, b) for a, b in pairwise(edges)]
    at = data.draw(
        st.datetimes(
            edges[0].replace(tzinfo=None),
            edges[-1].replace(tzinfo=None) - timedelta(microseconds=1),
            timezones=st.just(UTC),
        )
    )

    assert sum(holds(w, at) for w in chain) == 1


@settings(max_examples=40)
@given(st.integers(0, 59), st.integers(0, 7 * 24 * 60), st.integers(0, 59_999))
def test_hourly_periods_of_an_hour_never_dip(minute: int, minutes: int, millis: int) -> None:
    period = ActivePeriod(f"{minute} * * * *", timedelta(hours=1), SHANGHAI)

    assert holds(period, NOON + timedelta(minutes=minutes, milliseconds=millis))


@settings(max_examples=60)
@given(st.integers(1, 1439), st.integers(0, 1439), st.integers(0, 59))
def test_a_daily_period_holds_exactly_from_its_tick_for_its_duration(
    length: int, minute: int, second: int
) -> None:
    period = ActivePeriod("0 9 * * *", timedelta(minutes=length), SHANGHAI)
    at = datetime(2026, 5, 4, tzinfo=SHANGHAI) + timedelta(minutes=minute, seconds=second)

    since_tick = (at - datetime(2026, 5, 4, 9, tzinfo=SHANGHAI)) % timedelta(days=1)

    assert holds(period, at.astimezone(UTC)) == (since_tick < timedelta(minutes=length))


def test_the_wall_clock_of_the_zone_counts_also_when_clocks_change() -> None:
    # Germany leaves winter time on 2026-03-29: nine is 08:00 UTC before and 07:00 UTC after.
    period = ActivePeriod("0 9 * * *", timedelta(hours=1), BERLIN)

    assert holds(period, datetime(2026, 3, 28, 8, 30, tzinfo=UTC))
    assert holds(period, datetime(2026, 3, 29, 7, 30, tzinfo=UTC))
    assert not holds(period, datetime(2026, 3, 29, 8, 30, tzinfo=UTC))


def test_a_period_over_the_change_of_clocks_lasts_its_real_time() -> None:
    period = ActivePeriod("0 1 * * *", timedelta(hours=3), BERLIN)

    # 01:00 is 00:00 UTC; three real hours later the wall clock says five, not four.
    assert holds(period, datetime(2026, 3, 29, 2, 59, tzinfo=UTC))
    assert not holds(period, datetime(2026, 3, 29, 3, 0, tzinfo=UTC))


@pytest.mark.parametrize("line", ["", "* * * *", "60 * * * *", "x * * * *", "* * * * * *"])
def test_a_line_that_is_no_cron_line_is_refused(line: str) -> None:
    with pytest.raises(InvalidArgument):
        windows.check_cron(line, field="startCron")
