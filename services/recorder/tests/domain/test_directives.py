import pytest
from odeon_recorder.domain.directives import Directives, advance_limit, is_ready
from odeon_recorder.domain.records import GapReason, Kind, Part, Segment, TrackSpec, pack
from odeon_recorder.domain.refusals import BadDirective
from odeon_recorder.domain.track import OpenSegment, Track

TARGET = 334_000_000
PART = 333_333_333
V720 = TrackSpec("v720", Kind.VIDEO, "avc1.64001f", 3_000_000, 1280, 720, 30.0, TARGET, 2)
SIX = pack([Part(1000, PART, False, bytes(32))] * 6)


def recorded(segments: int, *, parts: int = 0) -> Track:
    length = 6 * PART
    closed = [Segment(n, 1, n * length, length, packed=SIX, size=6000) for n in range(segments)]
    opened = OpenSegment(segments, 1, segments * length) if parts else None
    for _ in range(parts):
        assert opened
        opened.add(Part(1000, PART, False, bytes(32)))
    return Track(V720, segments=closed, open=opened)


def ready(track: Track, msn: int, part: int | None = None) -> bool:
    return is_ready(Directives(msn, part), track, part_target_ns=TARGET)


@pytest.mark.parametrize(
    "query",
    [
        {"_HLS_part": ["1"]},
        {"_HLS_msn": ["-1"]},
        {"_HLS_msn": ["1.5"]},
        {"_HLS_msn": ["٣"]},
        {"_HLS_msn": [""]},
        {"_HLS_msn": ["1", "2"]},
        {"_HLS_msn": ["99999999999"]},
        {"_HLS_msn": ["1"], "_HLS_part": ["x"]},
        {"_HLS_skip": ["NO"]},
    ],
)
def test_malformed_directives_are_refused(query: dict[str, list[str]]) -> None:
    with pytest.raises(BadDirective):
        Directives.parse(query)


def test_directives_are_read_and_other_parameters_ignored() -> None:
    query = {"_HLS_msn": ["7"], "_HLS_part": ["2"], "_HLS_skip": ["v2"], "_HLS_new": ["?"]}

    assert Directives.parse(query) == Directives(7, 2, True)
    assert Directives.parse({}) == Directives()


def test_what_is_listed_is_ready_and_what_comes_next_is_waited_for() -> None:
    track = recorded(10, parts=2)

    assert ready(track, 9) and ready(track, 9, 5) and ready(track, 10, 1) and ready(track, 0, 3)
    assert not ready(track, 10) and not ready(track, 10, 2) and not ready(track, 11, 0)
    assert not ready(track, 12)


def test_a_part_beyond_a_closed_segment_means_the_next_ones_first() -> None:
    closed = recorded(10)
    going_on = recorded(10, parts=1)

    assert not ready(closed, 9, 6)
    assert ready(going_on, 9, 6)
    assert ready(going_on, 3, 99)


def test_a_gap_satisfies_whoever_waited_for_it() -> None:
    gap = Segment(0, 1, 0, 6 * PART, gap=GapReason.TAKE_OVER)
    track = Track(V720, segments=[gap], open=OpenSegment(1, 2, 0))

    assert ready(track, 0) and ready(track, 0, 0)
    assert not ready(track, 0, 3)


def test_too_far_ahead_is_refused_at_once() -> None:
    track = recorded(10, parts=2)
    limit = advance_limit(TARGET)

    for msn, part in [(13, None), (13, 0), (10_000, None), (10, 1 + limit + 1), (11, limit)]:
        with pytest.raises(BadDirective):
            ready(track, msn, part)
    assert not ready(track, 10, 1 + limit)
    assert limit == 9
