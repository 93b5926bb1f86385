import asyncio
import json
import os
import sys
from pathlib import Path

import httpx
from odeon.events.v1 import events_pb2
from odeon_runtime.bus import Bus
from odeon_runtime.pools import Reports, StoredReport
from odeon_runtime.tasks import EternalTasks
from odeon_testkit.llhls_owner import AUDIO_PART_S, audio, video
from odeon_testkit.nats import nats_server

from .conftest import RecorderAt, Running, eventually


async def test_parts_put_by_an_owner_come_out_of_the_origin(recorder: Running) -> None:
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


async def test_a_blocking_request_is_answered_by_the_part_it_waits_for(recorder: Running) -> None:
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


async def test_the_process_says_ready_and_stops_on_a_signal(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "odeon_recorder",
        env={**os.environ, "ODEON_DATA_DIR": str(tmp_path)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    ready = json.loads(await process.stdout.readline())
    async with httpx.AsyncClient(base_url=f"http://{ready['http']}") as http:
        health = await http.get("/healthz")
        missing = await http.get("/acme/launch/main.m3u8")
    process.terminate()

    assert (ready["event"], ready["service"]) == ("ready", "recorder")
    assert health.status_code == 200
    assert missing.status_code == 404
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_a_recorder_of_a_set_says_how_many_events_it_holds(
    recorder_at: RecorderAt, tmp_path: Path
) -> None:
    told: list[int] = []
    pod = {"pool": "recorder", "pod_name": "recorder-0", "pod_uid": "uid-0"}

    async def listen(reports: Reports) -> None:
        async for found in reports.watch():
            if isinstance(found, StoredReport) and found.report.pod_uid == "uid-0":
                told.append(found.report.sessions)

    with nats_server() as nats:
        async with (
            Bus(nats.url, name="test") as bus,
            EternalTasks() as tasks,
            recorder_at(tmp_path, nats_url=nats.url, **pod) as recorder,
        ):
            tasks.spawn("listen", listen(Reports(bus)))
            await eventually(lambda: told[-1:] == [0])
            owner = recorder.owner()
            await owner.acquire([video()])
            await eventually(lambda: told[-1:] == [1])

            await owner.put_segment("v720", 0)
            await owner.end()
            await eventually(lambda: told[-1:] == [0])


async def test_what_happens_is_told_on_the_bus(recorder_at: RecorderAt, tmp_path: Path) -> None:
    heard: list[events_pb2.Envelope] = []
    ended = asyncio.Event()

    async def hear(_subject: str, fact: events_pb2.Envelope) -> None:
        heard.append(fact)
        if fact.HasField("timeline_ended"):
            ended.set()

    with nats_server() as nats:
        async with Bus(nats.url, name="test") as bus:
            await bus.ensure_streams()
            await bus.subscribe("odeon.evt.recorder.>", hear)
            async with recorder_at(tmp_path, nats_url=nats.url) as running:
                owner = running.owner()
                await owner.acquire([video()])
                await owner.put_segment("v720", 0)
                await owner.put("v720", 1, 0)
                await owner.end()
                await asyncio.wait_for(ended.wait(), 20)

    kinds = [fact.WhichOneof("fact") for fact in heard]
    assert kinds == ["timeline_acquired", "segment_closed", "segment_closed", "timeline_ended"]
    assert {fact.tenant_id for fact in heard} == {"acme"}
    assert heard[1].segment_closed.duration_ms == 2000
    assert heard[2].segment_closed.duration_ms == 333, "cut short by the end, and in the recording"
    assert heard[3].timeline_ended.gaps == 0
