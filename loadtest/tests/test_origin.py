import pytest
from odeon_loadtest.origin import aligned, closed_between, new_gaps
from odeon_testkit.llhls import Listed, parse

PART = '#EXT-X-PART:DURATION=0.333,URI="p{msn}.{part}.m4s"\n'
HOLE = '#EXT-X-PART:DURATION=0.333,URI="p{msn}.{part}.m4s",GAP=YES\n'


def playlist(*segments: str, open_parts: int = 1, part: str = PART) -> Listed:
    """Segments from 0: "s" whole, "d" behind a discontinuity, "g" a gap, "h" cut in half."""
    text = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-TARGETDURATION:2\n"
    for msn, kind in enumerate(segments):
        text += "#EXT-X-DISCONTINUITY\n" if kind == "d" else ""
        text += "#EXT-X-GAP\n" if kind == "g" else ""
        text += f"#EXTINF:{1.0 if kind == 'h' else 2.0},\ns{msn}.m4s\n"
    return parse(text + "".join(part.format(msn=len(segments), part=n) for n in range(open_parts)))


def test_renditions_that_mark_the_same_segment_are_aligned() -> None:
    assert aligned([playlist(*"ssd"), playlist(*"ssd")])


@pytest.mark.parametrize(
    "marks", [("ssd", "sds"), ("sss", "sss"), ("ssd", "sss")], ids=["apart", "none", "only one"]
)
def test_renditions_that_mark_nothing_or_not_the_same_are_not(marks: tuple[str, str]) -> None:
    assert not aligned([playlist(*kinds) for kinds in marks])


def test_a_rendition_that_was_read_a_segment_earlier_is_aligned_as_far_as_it_goes() -> None:
    assert aligned([playlist(*"sdss"), playlist(*"sd", open_parts=0)])


def test_a_hole_in_what_was_open_is_a_new_gap() -> None:
    before = {"v360": playlist(*"ss")}

    assert new_gaps(before, {"v360": playlist(*"ssss")}) == 0
    assert new_gaps(before, {"v360": playlist(*"ssgs")}) == 1
    assert new_gaps(before, {"v360": playlist(*"ss", open_parts=2, part=HOLE)}) == 1


def test_a_rung_that_rested_before_or_rests_much_later_has_no_new_gap() -> None:
    assert new_gaps({"v360": playlist(*"sg")}, {"v360": playlist(*"sggg")}) == 0
    assert new_gaps({"v360": playlist(*"ss")}, {"v360": playlist(*"ssssg")}) == 0


def test_what_was_open_counts_as_closed_later_unless_it_is_a_gap_or_was_cut_short() -> None:
    assert closed_between(playlist(*"ss"), playlist(*"sssgsh")) == [2, 4]
