from odeon_loadtest.delivery import Feeder
from odeon_loadtest.scenarios.audience import window_of
from odeon_loadtest.viewers import Plan

PLAN = Plan("127.0.0.1", 1, ["/a", "/b"], "v720", first_msn=4, last_msn=4, fetch_parts=True)
NAMES = [f"4.{part}" for part in range(6)]


def feeder() -> Feeder:
    return Feeder("", "", 1, offered=dict.fromkeys(NAMES, 10.0))


def seen(viewers: int, parts: int) -> dict[str, object]:
    arrived = {name: [10.5] * viewers for name in NAMES[:parts]}
    return {"playlist": arrived, "part": arrived, "failed": {}, "body_bytes": 0}


def test_viewers_that_got_everything_miss_nothing() -> None:
    window = window_of(seen(viewers=2, parts=6), PLAN, feeder())

    assert (window.missing, window.states) == (0, 6)
    assert set(window.delays_ms) == {500.0}


def test_a_viewer_that_hangs_misses_what_the_others_got() -> None:
    assert window_of(seen(viewers=1, parts=6), PLAN, feeder()).missing == 12


def test_parts_that_nobody_got_are_missing_too() -> None:
    assert window_of(seen(viewers=2, parts=5), PLAN, feeder()).missing == 4
