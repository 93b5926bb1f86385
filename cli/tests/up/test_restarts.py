"""When a child that died starts again."""

from odeon_cli.up.restarts import HEALTHY_S, MAX_DELAY_S, Restarts


def test_the_first_death_restarts_at_once_and_the_next_ones_ever_later() -> None:
    restarts, delays = Restarts(), []
    for _ in range(8):
        restarts = restarts.after_death(lived_s=1.0)
        delays.append(restarts.delay_s)

    assert delays == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, MAX_DELAY_S, MAX_DELAY_S]


def test_a_long_life_makes_the_next_death_a_first_one_again() -> None:
    restarts = Restarts()
    for _ in range(5):
        restarts = restarts.after_death(lived_s=1.0)

    assert restarts.after_death(lived_s=HEALTHY_S).delay_s == 0.0


def test_no_number_of_deaths_overflows() -> None:
    assert Restarts(in_a_row=100_000).delay_s == MAX_DELAY_S
