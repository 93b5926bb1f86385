from odeon_operator.domain.leadership import Record, Watch

MINE = Record("me", 15.0, "1")
OTHERS = Record("other", 15.0, "1")


def test_a_lease_that_nobody_has_may_be_taken() -> None:
    assert Watch().may_take("me", 0)
    assert Watch().seen(Record("", 1.0, "1"), 5).may_take("me", 5)


def test_another_holder_is_waited_for_by_our_own_clock_since_its_last_sign_of_life() -> None:
    watch = Watch().seen(OTHERS, 100)
    watch = watch.seen(OTHERS, 110)
    assert not watch.may_take("me", 114.9)

    renewed = watch.seen(Record("other", 15.0, "2"), 114)
    assert not renewed.may_take("me", 128.9)
    assert renewed.may_take("me", 129)


def test_a_holder_that_starts_again_under_its_name_goes_on_at_once() -> None:
    assert Watch().seen(MINE, 100).may_take("me", 100)
