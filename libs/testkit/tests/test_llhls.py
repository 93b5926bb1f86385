"""The checker finds what is broken, and only that."""

import pytest
from odeon_testkit.llhls import Asked, LiveChecker, check_presentation, check_static, errors, parse

HEAD = """#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,PART-HOLD-BACK=1.002
#EXT-X-PART-INF:PART-TARGET=0.334
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-MEDIA-SEQUENCE:0
"""


def segment(msn: int, *, parts: int = 0, first: str = "", seconds: float = 2.0) -> str:
    listed = "".join(part(msn, index) for index in range(parts))
    date = f"#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:{2 * msn:02d}.000Z\n"
    return f"{first}{date}{listed}#EXTINF:{seconds:.5f},\ns{msn}.m4s\n"


def part(msn: int, index: int, seconds: float = 1 / 3) -> str:
    independent = ",INDEPENDENT=YES" if index == 0 else ""
    return f'#EXT-X-PART:DURATION={seconds:.5f},URI="p{msn}.{index}.m4s"{independent}\n'


MAP = '#EXT-X-MAP:URI="init-1.mp4"\n'
HINT = '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p4.2.m4s"\n'
REPORT = '#EXT-X-RENDITION-REPORT:URI="../a128/index.m3u8",LAST-MSN=4,LAST-PART=1\n'
OPEN = "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:08.000Z\n" + part(4, 0) + part(4, 1)
GOOD = (
    HEAD
    + segment(0, first=MAP)
    + segment(1, parts=6)
    + segment(2, parts=6)
    + segment(3, parts=6)
    + OPEN
    + HINT
    + REPORT
)


def rules(text: str) -> set[str]:
    return {finding.rule for finding in check_static(text)}


def test_a_good_playlist_has_no_findings() -> None:
    assert check_static(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("#EXTM3U\n", "", "4.4.1.1"),
        ("VERSION:9", "VERSION:5", "8"),
        ("TARGETDURATION:2", "TARGETDURATION:1", "4.4.3.1"),
        ("TARGETDURATION:2", "TARGETDURATION:2.0", "4.4.3.1"),
        ("CAN-SKIP-UNTIL=12.0", "CAN-SKIP-UNTIL=11.9", "4.4.3.8"),
        ("PART-HOLD-BACK=1.002", "PART-HOLD-BACK=0.6", "4.4.3.8"),
        ("PART-HOLD-BACK=1.002", "PART-HOLD-BACK=1.1", "4.4.3.8"),
        ("CAN-BLOCK-RELOAD=YES,", "", "B.1"),
        ("#EXT-X-PART-INF:PART-TARGET=0.334\n", "", "4.4.3.7"),
        ("PLAYLIST-TYPE:EVENT", "PLAYLIST-TYPE:LIVE", "4.4.3.5"),
        ("MEDIA-SEQUENCE:0", "MEDIA-SEQUENCE:3", "6.2.2"),
        (MAP, "", "4.4.4.5"),
        ('URI="init-1.mp4"', 'URI="/init-1.mp4"', "relative"),
        ("s2.m4s", "https://elsewhere.example/s2.m4s", "relative"),
        (part(2, 3), part(2, 3, 0.35), "4.4.4.9"),
        (part(2, 3), part(2, 3, 0.2), "4.4.4.9"),
        ("00:00:04.000Z", "00:00:03.000Z", "6.2.1"),
        ("00:00:04.000Z", "00:00:05.000Z", "6.2.1"),
        (segment(0, first=MAP), segment(0, first=MAP, parts=6), "6.2.2"),
        (HINT, HINT + HINT, "6.2.6"),
        (HINT, HINT.replace("p4.2", "p4.1"), "4.4.5.3"),
        (",LAST-PART=1", "", "4.4.5.4"),
        (HINT, HINT + "#EXT-X-ENDLIST\n", "4.4.5"),
        ("s3.m4s", "s2.m4s", "media"),
    ],
)
def test_each_broken_rule_is_found(old: str, new: str, rule: str) -> None:
    assert old in GOOD
    assert rule in rules(GOOD.replace(old, new, 1))


def test_a_broken_multivariant_playlist_is_found() -> None:
    good = (
        '#EXTM3U\n#EXT-X-CONTENT-STEERING:SERVER-URI="steering.json",PATHWAY-ID="main"\n'
        '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="a128",URI="a128/index.m3u8"\n'
        '#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS="avc1",AUDIO="audio"\nv720/index.m3u8\n'
    )

    assert check_static(good) == []
    assert rules(good.replace("BANDWIDTH=1,", "")) == {"4.4.6.2"}
    assert rules(good.replace('GROUP-ID="audio",', "")) == {"4.4.6.1", "4.4.6.2"}
    assert rules(good.replace('SERVER-URI="steering.json",', "")) == {"4.4.6.6"}
    assert rules(good.replace("v720/index.m3u8\n", "")) == {"4.4.6.2"}


def test_renditions_must_agree() -> None:
    other = GOOD.replace("PART-HOLD-BACK=1.002", "PART-HOLD-BACK=1.026")
    cut = GOOD.replace(segment(2, parts=6), "#EXT-X-DISCONTINUITY\n" + segment(2, parts=6))
    late = GOOD.replace("00:00:04.000Z", "00:00:04.300Z")

    assert check_presentation({"v": GOOD, "a": GOOD}) == []
    assert [f.rule for f in check_presentation({"v": GOOD, "a": other})] == ["6.2.4"]
    assert [f.rule for f in check_presentation({"v": GOOD, "a": cut})] == ["6.2.4"]
    assert [f.rule for f in check_presentation({"v": GOOD, "a": late})] == ["6.2.4"]


def test_going_back_or_changing_what_was_listed_is_found() -> None:
    for worse in (
        GOOD.replace(OPEN, ""),
        GOOD.replace(segment(3, parts=6) + OPEN, part(3, 0)),
        GOOD.replace("s1.m4s", "s1b.m4s"),
        GOOD.replace("TARGETDURATION:2", "TARGETDURATION:3"),
        GOOD.replace('p4.0.m4s"', 'p4.0b.m4s"'),
    ):
        checker = LiveChecker()
        assert checker.feed(200, GOOD) == []
        assert errors(checker.feed(200, worse))


def test_an_answer_without_what_was_asked_for_is_found() -> None:
    checker = LiveChecker()

    assert checker.feed(200, GOOD, Asked(4, 1)) == []
    assert checker.feed(200, GOOD, Asked(3)) == []
    assert [f.rule for f in checker.feed(200, GOOD, Asked(4, 2))] == ["6.2.5.2"]
    assert [f.rule for f in checker.feed(200, GOOD, Asked(4))] == ["6.2.5.2"]
    assert [f.rule for f in checker.feed(500, "")] == ["status"]


def test_a_delta_update_must_say_the_same_as_the_playlist() -> None:
    skipped = GOOD.replace(
        segment(0, first=MAP) + segment(1, parts=6), "#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n"
    )
    wrong = skipped.replace("SEGMENTS=2", "SEGMENTS=1")

    checker = LiveChecker()
    checker.feed(200, GOOD)
    assert checker.feed(200, skipped, Asked(skip=True)) == []
    assert checker.current is not None
    assert checker.current.segments[3].map == "init-1.mp4"
    assert checker.feed_pair(GOOD, skipped) == []
    assert [f.rule for f in checker.feed(200, skipped)] == ["6.2.5.1"]
    assert errors(LiveChecker().feed(200, skipped, Asked(skip=True)))
    assert errors(checker.feed(200, wrong, Asked(skip=True)))


def test_a_part_beyond_a_closed_segment_is_answered_by_the_next_one() -> None:
    listed = parse(GOOD)

    assert listed.edge == (4, 2)
    assert listed.has(3, 6)
    assert not parse(GOOD.replace(OPEN, "")).has(3, 6)
