"""Whose picture is the main one."""

from odeon_transcoder.domain.director import HOLD_S, LayoutChoice, SpeakerHold, direct
from odeon_transcoder.domain.layout import LayoutKind, Seat

ALICE = Seat("a-cam", "alice", "Alice")
BOB = Seat("b-cam", "bob", "Bob")
CAROL = Seat("c-cam", "carol", "Carol")
SCREEN = Seat("b-screen", "bob", "Bob", screen=True)


def _keys(choice: LayoutChoice, seats: list[Seat], speaker: str | None = None) -> list[str]:
    main, others = direct(choice, seats, speaker)
    return [seat.key for seat in ([main] if main else []) + list(others)]


def test_the_first_publisher_is_shown_until_somebody_speaks() -> None:
    single = LayoutChoice()

    assert _keys(single, [ALICE, BOB])[0] == "a-cam"
    assert _keys(single, [ALICE, BOB], "bob")[0] == "b-cam"


def test_a_screen_beats_cameras_and_the_host_beats_all() -> None:
    assert _keys(LayoutChoice(), [ALICE, BOB, SCREEN], "alice")[0] == "b-screen"
    assert _keys(LayoutChoice(focus="carol"), [ALICE, SCREEN, CAROL], "alice")[0] == "c-cam"


def test_a_focus_who_left_is_ignored() -> None:
    assert _keys(LayoutChoice(focus="zoe"), [ALICE, BOB])[0] == "a-cam"


def test_a_grid_keeps_the_order_of_arrival_whoever_speaks() -> None:
    grid = LayoutChoice(LayoutKind.GRID)

    assert _keys(grid, [ALICE, BOB, CAROL], "carol") == ["a-cam", "b-cam", "c-cam"]


def test_beside_a_screen_the_speaker_comes_first_and_other_screens_stay_away() -> None:
    choice = LayoutChoice(LayoutKind.SCREEN_SPEAKER)

    assert _keys(choice, [ALICE, BOB, SCREEN, CAROL], "carol") == [
        "b-screen",
        "c-cam",
        "a-cam",
        "b-cam",
    ]


def test_who_shares_a_screen_is_beside_it_while_nobody_speaks() -> None:
    choice = LayoutChoice(LayoutKind.PICTURE_IN_PICTURE)

    assert _keys(choice, [ALICE, BOB, SCREEN])[:2] == ["b-screen", "b-cam"]


def test_an_empty_stage_has_no_main_picture() -> None:
    assert direct(LayoutChoice(), [], "alice") == (None, ())


def test_a_cough_does_not_change_the_speaker() -> None:
    hold = SpeakerHold()

    assert hold.observe(0.0, "alice") == "alice"
    assert hold.observe(1.0, "bob") == "alice"
    assert hold.observe(1.2, "alice") == "alice"
    assert hold.observe(1.2 + HOLD_S, None) == "alice"


def test_who_goes_on_speaking_with_pauses_becomes_the_speaker() -> None:
    hold = SpeakerHold(current="alice")

    hold.observe(1.0, "bob")
    hold.observe(2.0, None)

    assert hold.observe(2.6, "bob") == "bob"
