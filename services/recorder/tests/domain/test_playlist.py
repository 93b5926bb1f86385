"""Playlists as text, and what they cost after four hours."""

import hashlib
import json
import re
import time
from datetime import datetime
from itertools import pairwise

from odeon_recorder.adapters import manifest
from odeon_recorder.domain import snapshot
from odeon_recorder.domain.playlist import MediaPlaylist, multivariant
from odeon_recorder.domain.records import (
    Granted,
    InitStored,
    Kind,
    PartStored,
    Segment,
    TrackSpec,
)
from odeon_recorder.domain.timeline import Offer, Timeline
from odeon_recorder.usecases.rendering import RenderedPlaylist
from odeon_testkit.llhls import check_static, merge, parse

PART = 333_333_333
DIGEST = hashlib.sha256(b"part").digest()
ORIGIN_MS = 1_763_800_000_000


def video(name: str, height: int, bandwidth: int) -> TrackSpec:
    width = height * 16 // 9
    return TrackSpec(
        name, Kind.VIDEO, "avc1.64001f", bandwidth, width, height, 30.0, 334_000_000, 2
    )


V720 = video("v720", 720, 3_000_000)
V240 = video("v240", 240, 400_000)
A128 = TrackSpec("a128", Kind.AUDIO, "mp4a.40.2", 128_000, 0, 0, 0.0, 342_000_000, 2)


def recorded(segments: int, *, parts: int = 0, tracks: tuple[TrackSpec, ...] = (V720,)) -> Timeline:
    timeline = Timeline("acme", "launch")
    timeline.apply(Granted(1, "worker-1", ORIGIN_MS, 0, 0, tracks))
    for spec in tracks:
        timeline.apply(InitStored(spec.track, 1, 100, DIGEST))
        for msn in range(segments):
            for part in range(6):
                append(timeline, spec.track, msn, part)
        for part in range(parts):
            append(timeline, spec.track, segments, part)
    return timeline


def append(timeline: Timeline, track: str, msn: int, part: int) -> None:
    offset = part * 1000
    wall = ORIGIN_MS + msn * 2000 + (part + 1) * 1000 // 3
    first, last = part == 0, part == 5
    timeline.apply(
        PartStored(track, timeline.epoch, msn, part, offset, 1000, PART, first, last, DIGEST, wall)
    )


def test_a_live_playlist_reads_as_the_specification_has_it() -> None:
    timeline = recorded(1, parts=2, tracks=(V720, A128))

    text = MediaPlaylist(timeline, timeline.tracks["v720"]).full()

    assert text == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:9\n"
        "#EXT-X-TARGETDURATION:2\n"
        "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.0,PART-HOLD-BACK=1.026\n"
        "#EXT-X-PART-INF:PART-TARGET=0.342\n"
        "#EXT-X-PLAYLIST-TYPE:EVENT\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-PROGRAM-DATE-TIME:2025-11-22T08:26:40.000Z\n"
        '#EXT-X-MAP:URI="init-1.mp4"\n'
        '#EXT-X-PART:DURATION=0.33333,URI="p0.0.m4s",INDEPENDENT=YES\n'
        '#EXT-X-PART:DURATION=0.33333,URI="p0.1.m4s"\n'
        '#EXT-X-PART:DURATION=0.33333,URI="p0.2.m4s"\n'
        '#EXT-X-PART:DURATION=0.33333,URI="p0.3.m4s"\n'
        '#EXT-X-PART:DURATION=0.33333,URI="p0.4.m4s"\n'
        '#EXT-X-PART:DURATION=0.33333,URI="p0.5.m4s"\n'
        "#EXTINF:2.00000,\n"
        "s0.m4s\n"
        "#EXT-X-PROGRAM-DATE-TIME:2025-11-22T08:26:42.000Z\n"
        '#EXT-X-PART:DURATION=0.33333,URI="p1.0.m4s",INDEPENDENT=YES\n'
        '#EXT-X-PART:DURATION=0.33333,URI="p1.1.m4s"\n'
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="p1.2.m4s"\n'
        '#EXT-X-RENDITION-REPORT:URI="../a128/index.m3u8",LAST-MSN=1,LAST-PART=1\n'
    )
    assert check_static(text) == []


def test_the_multivariant_playlist_has_demuxed_audio_and_one_pathway() -> None:
    text = multivariant([A128, V240, V720])

    assert check_static(text) == []
    assert '#EXT-X-CONTENT-STEERING:SERVER-URI="steering.json",PATHWAY-ID="main"' in text
    assert (
        '#EXT-X-STREAM-INF:BANDWIDTH=3128000,CODECS="avc1.64001f,mp4a.40.2",'
        'RESOLUTION=1280x720,FRAME-RATE=30.000,AUDIO="audio",PATHWAY-ID="main"\nv720/index.m3u8'
    ) in text
    assert text.index("v720/") < text.index("v240/")


def test_a_take_over_marks_discontinuity_map_and_date_in_all_renditions() -> None:
    timeline = recorded(2, parts=3, tracks=(V720, V240))
    for part in range(3, 5):
        append(timeline, "v240", 2, part)

    grant = timeline.grant("worker-2", (V720, V240), silent_s=1.5, now_ms=ORIGIN_MS + 9000)
    timeline.apply(grant)
    for name in ("v720", "v240"):
        timeline.apply(InitStored(name, 2, 100, DIGEST))
        append(timeline, name, 3, 0)
    texts = {n: MediaPlaylist(timeline, t).full() for n, t in timeline.tracks.items()}

    assert (grant.epoch, grant.next_msn, grant.start_ns) == (2, 3, 17 * PART)
    for text in texts.values():
        assert check_static(text) == []
        after = text.split("s2.m4s\n")[1]
        assert after.startswith("#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:")
        assert '#EXT-X-MAP:URI="init-2.mp4"\n' in after
    assert "#EXTINF:1.00000,\ns2.m4s" in texts["v720"]
    assert "#EXTINF:1.66667,\ns2.m4s" in texts["v240"]


def test_an_absurd_capture_time_does_not_reach_the_playlist() -> None:
    for capture, expected in ((10**17, ORIGIN_MS), (1, ORIGIN_MS), (ORIGIN_MS - 400, None)):
        timeline = recorded(0)
        offer = Offer("v720", 1, 0, 0, 9, DIGEST, PART, True, False, capture_ms=capture)
        timeline.apply_all(timeline.place(offer, now_ms=ORIGIN_MS))
        started = timeline.wall_ms(1, 0, PART)
        assert started == (expected or capture)


def dates(timeline: Timeline, name: str = "v720") -> list[int]:
    """Program dates of a playlist in milliseconds after its first one."""
    text = MediaPlaylist(timeline, timeline.tracks[name]).full()
    found = re.findall(r"PROGRAM-DATE-TIME:(.*)", text)
    moments = [datetime.fromisoformat(date.replace("Z", "+00:00")) for date in found]
    return [round((moment - moments[0]).total_seconds() * 1000) for moment in moments]


def arrive(
    timeline: Timeline, name: str, msn: int, part: int, *, lag_ms: int | None, late_ms: int = 500
) -> None:
    """Store a part whose end was captured `lag_ms` before the clean run would have it."""
    end = ORIGIN_MS + msn * 2000 + (part + 1) * 1000 // 3
    offer = Offer(
        name, timeline.epoch, msn, part, 9, DIGEST, PART, part == 0, part == 5,
        capture_ms=None if lag_ms is None else end - lag_ms,
    )  # fmt: skip
    timeline.apply_all(timeline.place(offer, now_ms=end + late_ms))


def test_program_dates_tell_the_capture_and_not_the_arrival() -> None:
    timeline = recorded(0, tracks=(V720, A128))
    for msn in range(3):
        for part in range(6):
            # A slower and slower encoder: arrivals are later every time, captures are not.
            arrive(timeline, "a128", msn, part, lag_ms=0, late_ms=400)
            arrive(timeline, "v720", msn, part, lag_ms=0, late_ms=500 + 300 * msn)

    assert [timeline.wall_ms(1, msn, msn * 6 * PART) for msn in range(3)] == [
        ORIGIN_MS, ORIGIN_MS + 2000, ORIGIN_MS + 4000,
    ]  # fmt: skip
    assert len(timeline.epochs[0].anchors) == 1


def test_program_dates_follow_sources_that_were_moved_from_the_next_segment_on() -> None:
    timeline = recorded(0)
    for msn in range(6):
        for part in range(6):
            before = dates(timeline)
            arrive(timeline, "v720", msn, part, lag_ms=600 if (msn, part) >= (2, 3) else 0)
            assert dates(timeline)[: len(before)] == before, "what was told stays"

    assert dates(timeline) == [0, 2000, 4000, 5400, 7400, 9400]


def test_program_dates_always_grow_however_far_the_encoder_falls_behind() -> None:
    timeline = recorded(0)
    for msn in range(10):
        for part in range(6):
            lag = 5000 if msn in (2, 3, 4, 5, 6, 7) else 0
            arrive(timeline, "v720", msn, part, lag_ms=lag)

    found = dates(timeline)
    assert all(b > a for a, b in pairwise(found))
    assert found[:3] == [0, 2000, 4000] and found[7] == 7 * 2000 - 5000
    assert found[9] == 18_000


def test_a_slower_rendition_does_not_undo_what_a_faster_one_told() -> None:
    timeline = recorded(0, tracks=(V720, V240))
    lags = [600 if place >= 15 else 0 for place in range(36)]
    for place in range(36):
        arrive(timeline, "v240", *divmod(place, 6), lag_ms=lags[place])
        if place >= 4:
            arrive(timeline, "v720", *divmod(place - 4, 6), lag_ms=lags[place - 4])

    assert dates(timeline, "v240") == [0, 2000, 4000, 5400, 7400, 9400]
    assert dates(timeline, "v720") == dates(timeline, "v240")
    assert len(timeline.epochs[0].anchors) == 2


def test_parts_that_tell_no_capture_leave_program_dates_alone() -> None:
    timeline = recorded(0)
    for msn in range(4):
        for part in range(6):
            arrive(timeline, "v720", msn, part, lag_ms=None if msn else 0, late_ms=500 * msn)

    assert dates(timeline) == [0, 2000, 4000, 6000]


def test_program_dates_survive_a_checkpoint() -> None:
    timeline = recorded(0)
    for msn in range(4):
        for part in range(6):
            arrive(timeline, "v720", msn, part, lag_ms=600 if msn >= 2 else 0)

    head = json.loads(json.dumps(manifest.head_to_json(snapshot.take(timeline))))
    again = snapshot.restore(manifest.snapshot_from_json(head, _segments(timeline)))

    assert dates(again) == dates(timeline) == [0, 2000, 4000, 5400]


def _segments(timeline: Timeline) -> list[tuple[str, Segment, bytes]]:
    return [("v720", segment, DIGEST) for segment in timeline.tracks["v720"].segments]


def test_a_finished_playlist_ends_and_hints_nothing() -> None:
    timeline = recorded(3, parts=2)
    timeline.apply_all(timeline.end(0, now_ms=ORIGIN_MS + 9000))

    text = MediaPlaylist(timeline, timeline.tracks["v720"]).full()

    assert text.endswith("s3.m4s\n#EXT-X-ENDLIST\n")
    assert "PRELOAD-HINT" not in text and "RENDITION-REPORT" not in text
    assert "#EXT-X-PART:" not in text, "whoever plays a recording plays segments"


def test_who_was_at_the_live_edge_gets_the_last_parts_with_the_end() -> None:
    timeline = recorded(20, parts=2)
    timeline.apply_all(timeline.end(0, now_ms=ORIGIN_MS + 42_000))
    playlist = MediaPlaylist(timeline, timeline.tracks["v720"])

    last = playlist.delta()

    assert last.endswith("s20.m4s\n#EXT-X-ENDLIST\n")
    assert "#EXT-X-SKIP" not in last
    assert [s.msn for s in parse(last).segments if s.parts][-1] == 20
    assert "".join(x for x in last.splitlines(True) if "X-PART:" not in x) == playlist.full()


def test_parts_are_listed_for_three_targets_and_what_is_older_than_six_is_skipped() -> None:
    timeline = recorded(20, parts=1)
    playlist = MediaPlaylist(timeline, timeline.tracks["v720"])

    full, delta = parse(playlist.full()), parse(playlist.delta())

    assert [s.msn for s in full.segments if s.parts] == [17, 18, 19]
    assert delta.skipped == 13
    assert delta.segments[0].msn == 13
    assert merge(full, delta).segments == full.segments


def test_four_hours_stay_small_and_cost_no_more_than_a_minute() -> None:
    short, long = recorded(30), recorded(7200)

    def cost(timeline: Timeline) -> tuple[float, RenderedPlaylist]:
        rendered = RenderedPlaylist(timeline, timeline.tracks["v720"])
        rendered.get(delta=False, gzip=True)
        msn, best = timeline.tracks["v720"].next_msn, float("inf")
        for turn in range(24):
            append(timeline, "v720", msn + turn // 6, turn % 6)
            started = time.perf_counter()
            rendered.get(delta=False, gzip=True)
            rendered.get(delta=True, gzip=False)
            best = min(best, time.perf_counter() - started)
        return best, rendered

    short_s, _ = cost(short)
    long_s, rendered = cost(long)
    whole = rendered.get(delta=False, gzip=False).body
    squeezed = rendered.get(delta=False, gzip=True).body
    delta = rendered.get(delta=True, gzip=False).body

    assert check_static(whole.decode()) == []
    assert len(whole) < 620_000
    assert len(squeezed) < 60_000
    assert len(delta) < 3_500
    # What grows is the copy of 40 KB that are squeezed already.
    assert long_s / short_s < 5


def test_the_squeezed_playlist_is_the_playlist() -> None:
    import gzip

    timeline = recorded(40)
    rendered = RenderedPlaylist(timeline, timeline.tracks["v720"])
    for turn in range(18):
        plain = rendered.get(delta=False, gzip=False)
        squeezed = rendered.get(delta=False, gzip=True)
        assert gzip.decompress(squeezed.body) == plain.body
        assert plain.body.decode() == MediaPlaylist(timeline, timeline.tracks["v720"]).full()
        assert rendered.get(delta=False, gzip=True) is squeezed
        append(timeline, "v720", 40 + turn // 6, turn % 6)
