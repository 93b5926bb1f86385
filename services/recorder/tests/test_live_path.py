import asyncio

from odeon_testkit.llhls_owner import AUDIO_PART_S, audio, video


async def test_parts_put_by_an_owner_come_out_of_the_origin(recorder) -> None:
    owner = recorder.owner()
    await owner.acquire([video(), audio()])

    await owner.put_segment("v720", 0)
    await owner.put("v720", 1, 0)
    await owner.put("a128", 0, 0, duration_s=AUDIO_PART_S)
    playlist = (await recorder.http.get("/acme/launch/v720/index.m3u8")).text
    segment = (await recorder.http.get("/acme/launch/v720/s0.m4s")).content
    part = (await recorder.http.get("/acme/launch/v720/p1.0.m4s")).content
    main = (await recorder.http.get("/acme/launch/main.m3u8")).text

    assert "#EXTINF:2.00000,\ns0.m4s" in playlist
    assert 'URI="p1.1.m4s"' in playlist.split("PRELOAD-HINT")[1]
    assert segment == b"".join(owner.stored[("v720", 0, p)] for p in range(6))
    assert part == owner.stored[("v720", 1, 0)]
    assert "v720/index.m3u8" in main


async def test_a_blocking_request_is_answered_by_the_part_it_waits_for(recorder) -> None:
    owner = recorder.owner()
    await owner.acquire([video()])
    await owner.put_segment("v720", 0)
    url = "/acme/launch/v720/index.m3u8?_HLS_msn=1&_HLS_part=0"

    waiting = asyncio.create_task(recorder.http.get(url))
    done, _ = await asyncio.wait([waiting], timeout=0.2)
    assert not done
    await owner.put("v720", 1, 0)
    answer = await waiting

    assert answer.status_code == 200
    assert 'URI="p1.0.m4s"' in answer.text
