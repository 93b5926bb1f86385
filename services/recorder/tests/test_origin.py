"""What the origin says over HTTP: caching, ranges, compression, waiting, the end."""

import asyncio

import httpx
import pytest
from odeon.recorder.v1 import recorder_pb2
from odeon_testkit.llhls import errors, watch
from odeon_testkit.llhls_owner import AUDIO_PART_S, Owner, audio, video
from prometheus_client import REGISTRY

from .conftest import Running

BASE = "/acme/launch/v720"


@pytest.fixture
async def owner(recorder: Running) -> Owner:
    owner = recorder.owner()
    await owner.acquire([video(), audio()])
    await owner.put_segment("v720", 0)
    return owner


async def test_three_hundred_waiters_wake_with_one_part_and_share_one_playlist(
    recorder: Running, owner: Owner
) -> None:
    url = f"{recorder.http.base_url}{BASE}/index.m3u8?_HLS_msn=1&_HLS_part=0"
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=30) as many:
        waiting = [asyncio.create_task(many.get(url)) for _ in range(300)]
        done, _ = await asyncio.wait(waiting, timeout=1.5)
        assert not done
        await owner.put("v720", 1, 0)
        answers = await asyncio.gather(*waiting)

    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.headers["etag"] for answer in answers}) == 1
    assert all('URI="p1.0.m4s"' in answer.text for answer in answers)


async def test_playlists_are_compressed_tagged_and_open_to_all_pages(
    recorder: Running, owner: Owner
) -> None:
    plain = await recorder.http.get(f"{BASE}/index.m3u8", headers={"Accept-Encoding": "identity"})
    packed = await recorder.http.get(f"{BASE}/index.m3u8")
    known = {"If-None-Match": plain.headers["etag"], "Accept-Encoding": "identity"}
    again = await recorder.http.get(f"{BASE}/index.m3u8", headers=known)

    assert plain.headers["content-type"] == "application/vnd.apple.mpegurl"
    assert plain.headers["access-control-allow-origin"] == "*"
    assert plain.headers["vary"] == "Accept-Encoding"
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == plain.text
    assert packed.headers["etag"] != plain.headers["etag"]
    assert (again.status_code, again.content) == (304, b"")


async def test_each_kind_has_its_time_to_live(recorder: Running, owner: Owner) -> None:
    async def caching(path: str) -> str:
        return (await recorder.http.get(f"/acme/launch/{path}")).headers["cache-control"]

    assert await caching("main.m3u8") == "no-cache"
    assert await caching("v720/index.m3u8") == "no-cache"
    assert await caching("v720/index.m3u8?_HLS_msn=0") == "public, max-age=1"
    for path in ("v720/s0.m4s", "v720/p0.2.m4s", "v720/init-1.mp4"):
        assert await caching(path) == "public, max-age=31536000, immutable"


async def test_media_answers_ranges_and_names_its_digest(recorder: Running, owner: Owner) -> None:
    whole = await recorder.http.get(f"{BASE}/s0.m4s")

    async def ranged(value: str) -> httpx.Response:
        return await recorder.http.get(f"{BASE}/s0.m4s", headers={"Range": value})

    first, tail, rest = (
        await ranged("bytes=0-9"),
        await ranged("bytes=-5"),
        await ranged("bytes=9-"),
    )
    assert whole.headers["content-digest"].startswith("sha-256=:")
    assert (first.status_code, first.content) == (206, whole.content[:10])
    assert first.headers["content-range"] == f"bytes 0-9/{len(whole.content)}"
    assert tail.content == whole.content[-5:]
    assert rest.content == whole.content[9:]
    assert (await ranged(f"bytes={len(whole.content)}-")).status_code == 416
    assert (await ranged("bytes=5-2")).status_code == 416
    assert (await ranged("bytes=0-1,3-4")).status_code == 200
    assert (await recorder.http.head(f"{BASE}/s0.m4s")).content == b""
    assert (await recorder.http.options(f"{BASE}/s0.m4s")).status_code == 204


async def test_the_hinted_part_is_waited_for_and_other_future_parts_are_not_found(
    recorder: Running, owner: Owner
) -> None:
    hinted = asyncio.create_task(recorder.http.get(f"{BASE}/p1.0.m4s"))
    later = await recorder.http.get(f"{BASE}/p1.1.m4s")
    assert not hinted.done()

    await owner.put("v720", 1, 0)
    answer = await hinted

    assert later.status_code == 404
    assert answer.content == owner.stored[("v720", 1, 0)]


async def test_a_take_over_lets_waiters_go_on_at_the_next_segment(
    recorder: Running, owner: Owner
) -> None:
    await owner.put("v720", 1, 0)
    waiting = asyncio.create_task(recorder.http.get(f"{BASE}/index.m3u8?_HLS_msn=1&_HLS_part=1"))
    successor = recorder.owner()
    await successor.acquire([video(), audio()])
    assert not waiting.done()

    await successor.put("v720", 2, 0)
    text = (await waiting).text
    audio_text = (await recorder.http.get("/acme/launch/a128/index.m3u8?_HLS_msn=1")).text

    assert "#EXTINF:0.33333,\ns1.m4s\n#EXT-X-DISCONTINUITY\n" in text
    assert '#EXT-X-MAP:URI="init-2.mp4"' in text
    lost = '#EXT-X-PART:DURATION=0.33333,URI="p1.0.m4s",GAP=YES'
    assert f"#EXT-X-GAP\n{lost}\n#EXTINF:0.33333,\ns1.m4s" in audio_text


async def test_a_successor_that_names_no_tracks_goes_on_with_those_of_the_last_epoch(
    recorder: Running, owner: Owner
) -> None:
    top, small = video(), video("v240", height=240)
    await owner.acquire([top, small, audio()])
    await owner.acquire([small, audio()])
    await owner.put("v240", owner.next_msn, 0, last=True)

    successor = recorder.owner()
    await successor.acquire([])

    assert sorted(spec.track for spec in successor.tracks) == ["a128", "v240"]
    assert small in successor.tracks and audio() in successor.tracks
    assert successor.next_msn == owner.next_msn + 1
    assert (await successor.put("v240", successor.next_msn, 0)).status_code == 201
    assert (await successor.put_init("v720")).status_code == 404, "dropped an epoch ago"


async def test_after_the_end_the_same_address_is_a_recording(
    recorder: Running, owner: Owner
) -> None:
    waiting = asyncio.create_task(recorder.http.get(f"{BASE}/index.m3u8?_HLS_msn=1&_HLS_part=1"))
    await owner.put("v720", 1, 0)
    timeline = await owner.end()

    live = (await waiting).text
    vod = await recorder.http.get(f"{BASE}/index.m3u8?_HLS_msn=77")
    last = await recorder.http.get(f"{BASE}/index.m3u8?_HLS_msn=77&_HLS_skip=YES")

    assert live.endswith("#EXT-X-ENDLIST\n")
    assert vod.text == live
    assert "#EXT-X-PART:" not in live and "#EXT-X-PART:" in last.text
    assert vod.headers["cache-control"] == "public, max-age=30"
    assert timeline.state == recorder_pb2.Timeline.STATE_ENDED
    assert timeline.duration.ToNanoseconds() == 7 * 333_333_333
    lost = timeline.tracks[1].gaps
    assert [(gap.reason, gap.duration.ToNanoseconds()) for gap in lost] == [("LOST", 2333333331)]


async def test_our_checker_finds_nothing_to_say_about_a_live_event(
    recorder: Running, owner: Owner
) -> None:
    async def perform() -> None:
        for msn in range(5):
            for part in range(6):
                if msn > 0:
                    await owner.put("v720", msn, part, last=part == 5)
                short = 14 * 1024 / 48_000 if msn % 4 else 13 * 1024 / 48_000
                seconds = short if part == 5 else AUDIO_PART_S
                await owner.put("a128", msn, part, duration_s=seconds, last=part == 5)
                await asyncio.sleep(0.02)
        await owner.end()

    playing = asyncio.create_task(perform())
    base = str(recorder.http.base_url).rstrip("/")
    report = await watch(f"{base}/acme/launch/main.m3u8", 20)
    await playing

    assert errors(report.findings) == []
    assert report.ended
    assert report.parts > 20 and report.segments > 4


async def test_a_stopped_rung_becomes_gaps_and_may_come_back(
    recorder: Running, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("odeon_recorder.domain.timeline.LAG_SILENCE_S", 0.0)
    await owner.put_segment("a128", 0)
    for msn in range(1, 4):
        await owner.put_segment("a128", msn)

    playlist = (await recorder.http.get(f"{BASE}/index.m3u8")).text
    back = await owner.put("v720", 4, 0)
    resumed = (await recorder.http.get(f"{BASE}/index.m3u8?_HLS_msn=4&_HLS_part=0")).text

    assert playlist.count("#EXT-X-GAP") == 2
    # hls.js looks at parts alone while any are listed: without these it would wait for the gap's.
    assert playlist.count(",GAP=YES") == 12
    assert back.status_code == 201
    assert resumed.count("#EXT-X-GAP") == 3
    answer = await recorder.stub.GetTimeline(
        recorder_pb2.GetTimelineRequest(name="timelines/launch"), metadata=recorder.as_tenant()
    )
    (gap,) = answer.timeline.tracks[0].gaps
    assert (gap.first_msn, gap.reason) == (1, "RUNG_STOPPED")


async def test_what_edges_ask_for_is_counted_by_kind(recorder: Running, owner: Owner) -> None:
    def counted() -> dict[str, float]:
        name = "odeon_recorder_origin_requests_total"
        kinds = ("multivariant", "playlist", "init", "segment", "part")
        return {kind: REGISTRY.get_sample_value(name, {"kind": kind}) or 0.0 for kind in kinds}

    before = counted()
    for path in ("main.m3u8", "v720/index.m3u8", "v720/init-1.mp4", "v720/s0.m4s", "v720/p0.0.m4s"):
        (await recorder.http.get(f"/acme/launch/{path}")).raise_for_status()
    await recorder.http.get(f"{BASE}/p0.1.m4s")

    added = {kind: count - before[kind] for kind, count in counted().items()}
    assert added == {"multivariant": 1, "playlist": 1, "init": 1, "segment": 1, "part": 2}
