"""Everything a stranger or a confused owner may send: a clear refusal, nothing changed."""

import asyncio

import grpc
import httpx
import pytest
from odeon_testkit.llhls_owner import AUDIO_PART_S, Owner, audio, video

from .conftest import Running, info_of


@pytest.fixture
async def owner(recorder: Running) -> Owner:
    owner = recorder.owner()
    await owner.acquire([video(), audio()])
    await owner.put_segment("v720", 0)
    return owner


def reason(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["reason"]


async def test_the_same_part_again_is_fine_and_another_one_is_a_conflict(owner: Owner) -> None:
    assert (await owner.put("v720", 0, 3)).status_code == 200
    assert (await owner.put("v720", 1, 0)).status_code == 201
    assert (await owner.put("v720", 1, 0)).status_code == 200
    assert reason(await owner.put("v720", 1, 0, data=b"other")) == (409, "PART_CONFLICT")
    assert (await owner.put_init("v720")).status_code == 200
    assert reason(await owner.put_init("v720", b"other")) == (409, "PART_CONFLICT")


async def test_an_old_epoch_is_fenced_off(recorder: Running, owner: Owner) -> None:
    successor = recorder.owner()
    await successor.acquire([video(), audio()])

    assert successor.epoch == owner.epoch + 1
    assert successor.next_msn == 1
    assert reason(await owner.put("v720", 1, 0)) == (412, "TIMELINE_FENCED")
    assert reason(await owner.put_init("v720")) == (412, "TIMELINE_FENCED")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await owner.heartbeat()
    assert info_of(refused.value).reason == "TIMELINE_FENCED"
    assert (await successor.put("v720", 1, 0)).status_code == 201


async def test_parts_out_of_order_are_refused_and_told_what_is_due(owner: Owner) -> None:
    skipped = await owner.put("v720", 1, 1)
    ahead = await owner.put("v720", 2, 0)
    closed = await owner.put("v720", 0, 6)

    assert reason(skipped) == (409, "OUT_OF_ORDER")
    assert skipped.json()["metadata"] == {"expected_msn": "1", "expected_part": "0"}
    assert reason(ahead) == (409, "OUT_OF_ORDER")
    assert reason(closed) == (409, "SEGMENT_CLOSED")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Content-Digest": f"sha-256=:{'A' * 43}=:"}, "DIGEST_MISMATCH"),
        ({"Content-Digest": "md5=:AAAA:"}, "INVALID_ARGUMENT"),
        ({"Content-Digest": ""}, "INVALID_ARGUMENT"),
        ({"Odeon-Epoch": "-1"}, "INVALID_ARGUMENT"),
        ({"Odeon-Epoch": "99"}, "EPOCH_UNKNOWN"),
        ({"Odeon-Epoch": "9" * 40}, "INVALID_ARGUMENT"),
        ({"Odeon-Duration": "NaN"}, "INVALID_ARGUMENT"),
        ({"Odeon-Duration": "-0.3"}, "INVALID_ARGUMENT"),
        ({"Odeon-Duration": "1e9"}, "INVALID_ARGUMENT"),
        ({"Odeon-Duration": "0.4"}, "PART_INVALID"),
        ({"Odeon-Duration": "0.2"}, "PART_INVALID"),
        ({"Odeon-Independent": "?0"}, "PART_INVALID"),
        ({"Odeon-Last": "yes"}, "INVALID_ARGUMENT"),
        ({"Odeon-Capture": "now"}, "INVALID_ARGUMENT"),
    ],
)
async def test_garbage_headers_are_refused(
    owner: Owner, headers: dict[str, str], expected: str
) -> None:
    answer = await owner.put("v720", 1, 0, headers=headers)

    assert reason(answer) == (400, expected)
    assert (await owner.put("v720", 1, 0)).status_code == 201


async def test_garbage_sizes_and_paths_are_refused(recorder: Running, owner: Owner) -> None:
    limit = recorder.settings.max_part_bytes

    assert reason(await owner.put("v720", 1, 0, data=b"")) == (400, "INVALID_ARGUMENT")
    huge = await owner.put("v720", 1, 0, data=bytes(limit + 1))
    assert reason(huge) == (400, "BODY_TOO_LARGE")
    for path in ("v720/-1/0", "v720/1", "v720/1/x", "..%2f..%2fx/1/0", "V720/1/0", "v720/1/99999"):
        answer = await recorder.http.put(f"/ingest/acme/launch/{path}", content=b"x")
        assert answer.status_code in (400, 401), path
    assert reason(await owner.put("v480", 0, 0)) == (404, "TRACK_UNKNOWN")


async def test_only_services_may_put_parts(recorder: Running, owner: Owner) -> None:
    api = f"Bearer {recorder.issuer.api_token()}"
    for token in ("", "Basic x", "Bearer x", "Bearer a.b.c", api):
        answer = await owner.put("v720", 1, 0, headers={"Authorization": token})
        assert answer.status_code == 401, token
    assert (await owner.put("v720", 1, 0)).status_code == 201


async def test_of_all_services_the_transcoder_alone_puts_parts(
    recorder: Running, owner: Owner
) -> None:
    for service in ("gateway", "signaling", "transcoder-2"):
        token = {"Authorization": f"Bearer {recorder.issuer.service_token(service)}"}
        answer = await owner.put("v720", 1, 0, headers=token)
        assert reason(answer) == (403, "PERMISSION_DENIED"), service
    assert (await owner.put("v720", 1, 0)).status_code == 201


async def test_a_part_is_measured_by_the_target_that_playlists_announce(owner: Owner) -> None:
    # PART-TARGET is the audio track's 0.342 s: 0.287 s is 86 % of the video's own 0.334 s only.
    short = await owner.put("v720", 1, 0, duration_s=0.287)
    long_enough = await owner.put("v720", 1, 0, duration_s=0.291)

    assert reason(short) == (400, "PART_INVALID")
    assert long_enough.status_code == 201


async def test_a_track_whose_parts_could_never_be_long_enough_is_refused(recorder: Running) -> None:
    owner = recorder.owner(event="short-parts")
    hasty = video()
    hasty.part_target_s = 0.2
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await owner.acquire([hasty, audio()])
    await owner.acquire([hasty])

    assert info_of(refused.value).reason == "TRACKS_MISMATCH"


async def test_a_part_before_its_init_section_is_refused(recorder: Running) -> None:
    owner = recorder.owner()
    await owner.acquire([video()], init=False)

    assert reason(await owner.put("v720", 0, 0)) == (409, "INIT_MISSING")


async def test_far_and_malformed_directives_are_answered_with_400(
    recorder: Running, owner: Owner
) -> None:
    for query in (
        "_HLS_msn=4",
        "_HLS_msn=999999999",
        "_HLS_msn=-1",
        "_HLS_part=1",
        "_HLS_msn=1&_HLS_part=-1",
        "_HLS_msn=1&_HLS_part=100",
        "_HLS_msn=1&_HLS_msn=2",
        "_HLS_msn=%00",
        "_HLS_skip=maybe",
        "&".join(f"a{n}=1" for n in range(40)),
    ):
        answer = await recorder.http.get(f"/acme/launch/v720/index.m3u8?{query}")
        assert reason(answer) == (400, "BAD_DIRECTIVE"), query


async def test_what_does_not_exist_is_not_found(recorder: Running, owner: Owner) -> None:
    for path in (
        "/acme/other/main.m3u8",
        "/other/launch/main.m3u8",
        "/acme/launch/v1080/index.m3u8",
        "/acme/launch/v720/s7.m4s",
        "/acme/launch/v720/p0.6.m4s",
        "/acme/launch/v720/init-2.mp4",
        "/acme/launch/v720/secret.txt",
        "/acme/launch/../../etc/passwd",
    ):
        answer = await recorder.http.get(path)
        assert answer.status_code in (400, 404), path
        assert answer.headers["cache-control"] == "no-cache"


async def test_a_request_that_waits_in_vain_is_answered_with_503(recorder: Running) -> None:
    owner = recorder.owner()
    brief = video()
    brief.segment_target_s = 1
    await owner.acquire([brief])
    for part in range(3):
        await owner.put("v720", 0, part, last=part == 2)

    answer = await recorder.http.get("/acme/launch/v720/index.m3u8?_HLS_msn=1&_HLS_part=0")

    assert reason(answer) == (503, "NOT_YET")
    assert answer.headers["retry-after"]


async def test_a_rival_gets_the_timeline_only_after_silence(
    recorder: Running, owner: Owner
) -> None:
    rival = recorder.owner(name="worker-2")

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await rival.acquire([video(), audio()])
    assert info_of(refused.value).reason == "TIMELINE_HELD"
    assert info_of(refused.value).metadata["owner"] == "worker-1"

    async with asyncio.timeout(5):
        while rival.epoch == 0:
            try:
                await rival.acquire([video(), audio()])
            except grpc.aio.AioRpcError as error:
                assert info_of(error).reason == "TIMELINE_HELD"
                await asyncio.sleep(0.1)
    assert (rival.epoch, rival.next_msn, rival.next_event_time_s) == (2, 1, 6 * 0.333333333)


async def test_tracks_that_break_what_playlists_promise_are_refused(
    recorder: Running, owner: Owner
) -> None:
    longer = video()
    longer.segment_target_s = 4
    for tracks in ([video()] * 17, [video(), video()], [longer]):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await owner.acquire(tracks)
        assert info_of(refused.value).reason in ("INVALID_ARGUMENT", "TRACKS_MISMATCH")
    odd = video()
    odd.codec = 'x"\n#EXT-X-ENDLIST'
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await owner.acquire([odd])
    assert info_of(refused.value).reason == "INVALID_ARGUMENT"


async def test_nothing_can_be_gone_on_with_where_nothing_was_written(recorder: Running) -> None:
    newcomer = recorder.owner(event="unheard-of")

    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await newcomer.acquire([])
    await newcomer.acquire([video()])

    assert info_of(refused.value).reason == "TRACKS_MISSING"
    assert newcomer.epoch == 1


async def test_nothing_crosses_tenants(recorder: Running, owner: Owner) -> None:
    twin = recorder.owner(tenant="other")
    await twin.acquire([video(), audio()])
    await twin.put("v720", 0, 0, data=b"theirs")
    await owner.put("a128", 0, 0, duration_s=AUDIO_PART_S)

    ours = await recorder.http.get("/acme/launch/v720/p0.0.m4s")
    theirs = await recorder.http.get("/other/launch/v720/p0.0.m4s")

    assert ours.content == owner.stored[("v720", 0, 0)]
    assert theirs.content == b"theirs"


async def test_nothing_is_written_after_the_end(owner: Owner) -> None:
    await owner.put("v720", 1, 0)
    await owner.end()
    await owner.end(epoch=0)

    assert (await owner.put("v720", 1, 0)).status_code == 200
    assert reason(await owner.put("v720", 1, 1)) == (412, "TIMELINE_ENDED")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await owner.acquire([video()])
    assert info_of(refused.value).reason == "TIMELINE_ENDED"
