"""What the audience gets by HLS: media that decodes, in sync, by the rules, then a recording."""

import asyncio
import json
import re
from itertools import pairwise

import httpx
from odeon_loadtest.report import percentile
from odeon_testkit.llhls import errors
from odeon_testkit.llhls import watch as check_playlists
from odeon_testkit.product import Product
from odeon_testkit.recording import fetch, frames, get, lip_sync_ms, parse_media, renditions
from odeon_testkit.tenant import FRAME_RATE, Api, publishing, until_playing, watch_report
from odeon_testkit.wait import until

LIP_SYNC_MS = 60.0


async def lip_sync_p95(url: str) -> float:
    async with httpx.AsyncClient(timeout=15) as http:
        video, audio = await renditions(http, url)
        _, pictures = await fetch(http, video[-1])
        _, sound = await fetch(http, audio[0])
    errors_ms = await asyncio.to_thread(lip_sync_ms, pictures[-1], sound[-1])
    assert len(errors_ms) >= 3, "too few flashes and beeps to judge"
    return percentile([abs(error) for error in errors_ms], 0.95)


async def test_the_live_playlists_break_no_rule_of_the_specification(product: Product) -> None:
    report = await check_playlists(product["playlist_url"], 6)

    assert errors(report.findings) == []
    assert report.parts > 20


async def test_picture_and_sound_stay_together(product: Product) -> None:
    await until_playing(product["playlist_url"], segments=4)

    assert await lip_sync_p95(product["playlist_url"]) <= LIP_SYNC_MS


async def test_a_publisher_whose_sound_is_late_fails_the_lip_sync_check(api: Api) -> None:
    event, links = await api.live_event()

    async with publishing(links, "--skew-ms", "80"):
        await until_playing(links["playlistUrl"], segments=4)
        late = await lip_sync_p95(links["playlistUrl"])
    await api.call("room.v1.RoomService/EndEvent", name=event)

    assert late > LIP_SYNC_MS


async def first_counters(http: httpx.AsyncClient, url: str) -> dict[int, int]:
    """The card's counter in the first picture of each segment, by media sequence number."""
    text = (await get(http, url)).text
    rendition, number = parse_media(url, text), re.search(r"#EXT-X-MEDIA-SEQUENCE:(\d+)", text)
    assert number is not None and rendition.gaps == 0
    segments = [(init, uri) for init, uris in rendition.runs for uri in uris]
    found = {}
    for msn, (init, uri) in enumerate(segments, int(number[1])):
        file = (await get(http, init)).content + (await get(http, uri)).content
        card = (await asyncio.to_thread(frames, file))[0].card
        assert card is not None, f"the first picture of segment {msn} shows no card"
        found[msn] = card.counter
    return found


def shifted(rungs: list[dict[int, int]]) -> list[int]:
    """The segments that all rungs have and that do not start with the same picture in all."""
    shared = set.intersection(*(set(rung) for rung in rungs))
    assert len(shared) >= 2, "too few segments to judge"
    return sorted(msn for msn in shared if len({rung[msn] for rung in rungs}) > 1)


async def test_all_rungs_start_their_segments_with_the_same_picture(product: Product) -> None:
    await until_playing(product["playlist_url"], segments=3)

    async with httpx.AsyncClient(timeout=15) as http:
        video, _ = await renditions(http, product["playlist_url"])
        rungs = [await first_counters(http, url) for url in video]

    assert len(rungs) >= 2
    assert shifted(rungs) == []
    late = {msn: counter + 1 for msn, counter in rungs[-1].items()}
    assert shifted([*rungs[:-1], late]), "a rung that is one frame late would not be seen"


async def test_an_ended_event_is_its_own_recording_at_the_same_address(api: Api) -> None:
    event, links = await api.live_event()
    async with publishing(links):
        await until_playing(links["playlistUrl"], segments=4)
    await api.call("room.v1.RoomService/EndEvent", name=event)

    async with httpx.AsyncClient(timeout=15) as http:
        video, _ = await renditions(http, links["playlistUrl"])

        async def ended() -> bool:
            return "#EXT-X-ENDLIST" in (await http.get(video[0])).text

        await until(ended, timeout_s=30)
        _, files = await fetch(http, video[0])
    times = [frame.time_s for frame in frames(files[0])]
    steps = {round((after - before) * FRAME_RATE, 3) for before, after in pairwise(times)}

    assert len(times) >= 8 * FRAME_RATE
    assert steps == {1.0}, "frames are missing or doubled in time"
    timeline = await api.call(
        "recorder.v1.RecorderService/GetTimeline", name=event.replace("events/", "timelines/")
    )
    assert timeline["timeline"]["state"] == "STATE_ENDED"
    assert all(not track.get("gaps") for track in timeline["timeline"]["tracks"])


async def test_a_watcher_by_webrtc_sees_the_same_card(product: Product, api: Api) -> None:
    token = (
        await api.call(
            "auth.v1.AuthService/IssueToken",
            kind="TOKEN_KIND_PLAYBACK",
            event="events/demo",
            role="viewer",
        )
    )["token"]

    report = await watch_report(product["whep_url"], seconds=5, token=token)

    assert report["frames"] > 2 * FRAME_RATE
    assert report["latency_source"] == "test card"


async def test_a_revoked_session_stops_playing_even_while_its_request_is_blocked(
    product: Product, api: Api
) -> None:
    issued = await api.call(
        "auth.v1.AuthService/IssueToken",
        kind="TOKEN_KIND_PLAYBACK",
        event="events/demo",
        role="viewer",
    )
    base = f"{product['edge']}/t/{issued['token']}/default/demo"
    async with httpx.AsyncClient(timeout=15) as http:
        video, _ = await renditions(http, f"{base}/main.m3u8")
        text = (await http.get(video[0])).raise_for_status().text
        msn = int(text.split("#EXT-X-MEDIA-SEQUENCE:")[1].split()[0]) + text.count("#EXTINF")
        blocked = asyncio.create_task(http.get(f"{video[0]}?_HLS_msn={msn + 1}&_HLS_part=5"))
        await api.call("auth.v1.AuthService/RevokeSession", session_id=issued["sessionId"])

        answer = await blocked

        async def refused() -> bool:
            return (await http.get(f"{base}/main.m3u8")).status_code != 200

        await until(refused, timeout_s=5)
        again = await http.get(f"{base}/main.m3u8")

    assert answer.status_code in (200, 403)  # 200 only if the part came first
    assert again.status_code == 403
    assert json.loads(again.text)["reason"] in ("SESSION_REVOKED", "TOKEN_REVOKED")
