"""Reading LL-HLS playlists."""

import pytest
from odeon_cli.watch.playlist import NotAPlaylist, newer, parse_main, parse_media, start_at

MAIN = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="main",DEFAULT=YES,URI="a128/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=700000,CODECS="avc1.42c015,mp4a.40.2",RESOLUTION=426x240,AUDIO="a"
v240/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3000000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,AUDIO="a"
v720/index.m3u8
"""

LIVE = """#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.002,CAN-SKIP-UNTIL=12.0
#EXT-X-PART-INF:PART-TARGET=0.334
#EXT-X-MEDIA-SEQUENCE:10
#EXT-X-MAP:URI="init-1.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00.000Z
#EXTINF:2.00000,
s10.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:02.000Z
#EXT-X-PART:DURATION=1.0,URI="p11.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=1.0,URI="p11.1.m4s"
#EXTINF:2.00000,
s11.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init-2.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:05.000Z
#EXT-X-PART:DURATION=0.33333,URI="p12.0.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.33333,URI="p12.1.m4s"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p12.2.m4s"
#EXT-X-RENDITION-REPORT:URI="../v240/index.m3u8",LAST-MSN=12,LAST-PART=1
"""


def test_renditions_come_best_first_with_their_audio() -> None:
    main = parse_main(MAIN)

    assert [r.uri for r in main.renditions] == ["v720/index.m3u8", "v240/index.m3u8"]
    assert main.audio[main.renditions[0].audio_group] == "a128/index.m3u8"


def test_each_moment_is_listed_once_by_parts_where_there_are_parts() -> None:
    media = parse_media(LIVE)

    assert [p.uri for p in media.pieces] == [
        "s10.m4s",
        "p11.0.m4s",
        "p11.1.m4s",
        "p12.0.m4s",
        "p12.1.m4s",
    ]
    assert (media.next_msn, media.next_part) == (12, 2)


def test_parts_of_an_unfinished_segment_have_the_new_init_section() -> None:
    pieces = parse_media(LIVE).pieces

    assert [p.init_uri for p in pieces] == ["init-1.mp4"] * 3 + ["init-2.mp4"] * 2


def test_every_part_has_its_own_capture_time() -> None:
    captures = [p.capture for p in parse_media(LIVE).pieces]

    seconds = [capture.timestamp() % 60 for capture in captures if capture]
    assert seconds == pytest.approx([0, 2, 3, 5, 5.33333])


def test_what_was_taken_already_is_not_taken_again() -> None:
    media = parse_media(LIVE)

    assert [p.uri for p in newer(media.pieces, (11, 1))] == ["p12.0.m4s", "p12.1.m4s"]
    assert next(newer(media.pieces, (10, -1))).uri == "p11.0.m4s"


def test_a_segment_that_lost_its_parts_from_the_list_is_not_fetched_twice() -> None:
    later = LIVE.replace('#EXT-X-PART:DURATION=1.0,URI="p11.0.m4s",INDEPENDENT=YES\n', "").replace(
        '#EXT-X-PART:DURATION=1.0,URI="p11.1.m4s"\n', ""
    )

    assert [p.uri for p in newer(parse_media(later).pieces, (11, 1))] == [
        "p12.0.m4s",
        "p12.1.m4s",
    ]


def test_a_viewer_joins_at_an_independent_part_behind_the_hold_back() -> None:
    assert start_at(parse_media(LIVE))[0].uri == "p11.0.m4s"


def test_a_recording_is_watched_from_its_start() -> None:
    media = parse_media(LIVE + "#EXT-X-ENDLIST\n")

    assert media.ended
    assert start_at(media)[0].uri == "s10.m4s"


def test_a_delta_update_counts_what_it_skips_and_keeps_the_init_section() -> None:
    text = """#EXTM3U
#EXT-X-TARGETDURATION:2
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-SKIP:SKIPPED-SEGMENTS=40
#EXTINF:2.0,
s40.m4s
#EXT-X-PART:DURATION=0.333,URI="p41.0.m4s"
"""
    media = parse_media(text, init_uri="init-7.mp4")

    assert [(p.msn, p.init_uri) for p in media.pieces] == [(40, "init-7.mp4"), (41, "init-7.mp4")]


def test_a_gap_is_marked() -> None:
    media = parse_media(
        LIVE.replace("s10.m4s", "s10.m4s").replace(
            "#EXTINF:2.00000,\ns10", "#EXT-X-GAP\n#EXTINF:2.00000,\ns10"
        )
    )

    assert [p.gap for p in media.pieces] == [True, False, False, False, False]


@pytest.mark.parametrize("text", ["", "<html>", "#EXTM3U\n", "{}"])
def test_what_is_no_playlist_is_refused(text: str) -> None:
    with pytest.raises(NotAPlaylist):
        parse_media(text)
    with pytest.raises(NotAPlaylist):
        parse_main(text)
