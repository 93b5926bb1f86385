from odeon_loadtest.report import Report
from odeon_loadtest.scenarios.recording import Excuses, Recording, judge
from odeon_testkit.recording import Frame, Rendition
from odeon_testkit.testcard import Reading

RATE = 30


def picture(place: int, counter: int | None) -> Frame:
    card = None
    if counter is not None:
        card = Reading(unix_ms=0, counter=counter, flash=False, flash_seen=False, contrast=200.0)
    return Frame(place / RATE, card)


def judged(counters: list[int | None], *, absent: float = 0) -> dict[str, bool]:
    report = Report("recording")
    pictures = tuple(picture(place, counter) for place, counter in enumerate(counters))
    rendition = Rendition(runs=(), ended=True, discontinuities=0, gaps=0)
    recording = Recording(rendition, pictures, (1.0, -2.0))
    judge(report, recording, Excuses(received=len(counters), absent=absent), seconds=1)
    return {figure.name: figure.ok for figure in report.figures}


def test_a_recording_of_every_frame_once_is_good() -> None:
    assert all(judged(list(range(RATE))).values())


def test_a_frame_that_was_replaced_by_the_one_before_it_is_missed_and_repeated() -> None:
    counters: list[int | None] = [*range(10), 9, *range(11, RATE)]

    assert not judged(counters)["vod_frames_missing_or_repeated"]


def test_a_frame_that_never_arrived_is_excused_but_only_that_one() -> None:
    counters: list[int | None] = [*range(10), 9, *range(11, 20), 19, *range(21, RATE)]

    assert judged(counters, absent=2)["vod_frames_missing_or_repeated"]
    assert not judged(counters, absent=1)["vod_frames_missing_or_repeated"]


def test_an_unreadable_picture_or_a_short_recording_is_never_passed_over() -> None:
    assert not judged([None, *range(1, RATE)])["vod_frames_unreadable"]
    assert not judged(list(range(RATE - 1)))["vod_frames"]
