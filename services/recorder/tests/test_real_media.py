"""Real CMAF: made with PyAV, stored, listed, and read back by FFmpeg as a player would."""

import asyncio
import json
import math
import os
import shutil
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from odeon_testkit.llhls import check_static, errors, watch
from odeon_testkit.llhls_owner import Owner, audio, video

from .conftest import Running

FRAME_RATE = 15
START_S = 10
"""Decode times begin well above zero, or an encoder's priming would be a huge unsigned number."""
FLAGS = "delay_moov+frag_discont+default_base_moof+skip_trailer"


class Sink:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> int:
        self.data += bytes(data)
        return len(data)


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        yield data[at + 4 : at + 8], data[at : at + size]
        at += size


def muxed(template: Any, packets: list[Any]) -> tuple[bytes, bytes]:
    """Init section and one fragment."""
    sink = Sink()
    with av.open(sink, "w", format="mp4", options={"movflags": FLAGS}) as container:
        stream = container.add_stream_from_template(template, opaque=True)
        stream.time_base = template.time_base
        for packet in packets:
            packet.stream = stream
            container.mux_one(packet)
    init = b"".join(box for kind, box in boxes(sink.data) if kind in (b"ftyp", b"moov"))
    media = b"".join(box for kind, box in boxes(sink.data) if kind not in (b"ftyp", b"moov"))
    return init, media


def encoder(kind: str) -> Any:
    holder = av.open(Sink(), "w", format="mp4", options={"movflags": FLAGS})
    stream: av.VideoStream | av.AudioStream
    if kind == "video":
        stream = holder.add_stream("libx264", rate=FRAME_RATE)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "30", "bf": "0"}
        stream.codec_context.time_base = Fraction(1, 90_000)
    else:
        stream = holder.add_stream("aac", rate=48_000, layout="stereo")
        stream.time_base = Fraction(1, 48_000)
    holder.start_encoding()
    return holder, stream


def video_packets(seconds: int) -> tuple[Any, list[Any]]:
    holder, stream = encoder("video")
    packets: list[Any] = []
    for index in range(seconds * FRAME_RATE):
        picture = np.full((180, 320, 3), (index * 7) % 255, dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = index * 6000, Fraction(1, 90_000)
        packets += stream.encode(frame)
    packets += stream.encode(None)
    return (holder, stream), packets


def audio_packets(seconds: int) -> tuple[Any, list[Any]]:
    holder, stream = encoder("audio")
    packets: list[Any] = []
    for index in range(math.ceil(seconds * 48_000 / 1024)):
        tone = np.sin(np.arange(index * 1024, (index + 1) * 1024) / 48_000 * 2 * np.pi * 440)
        frame = av.AudioFrame.from_ndarray(
            np.stack([tone, tone]).astype(np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate, frame.pts = 48_000, index * 1024
        packets += stream.encode(frame)
    packets += stream.encode(None)
    return (holder, stream), packets


async def put_video(owner: Owner, seconds: int) -> int:
    (holder, stream), packets = video_packets(seconds)
    base = round((START_S + owner.next_event_time_s) * 90_000)
    for index, packet in enumerate(packets):
        packet.time_base = Fraction(1, 90_000)
        packet.pts = packet.dts = base + index * 6000
        packet.duration = 6000
    for number in range(0, len(packets), 5):
        msn, part = divmod(number // 5, 6)
        init, media = muxed(stream, packets[number : number + 5])
        if number == 0:
            assert (await owner.put_init("v180", init)).status_code == 201
        answer = await owner.put(
            "v180", owner.next_msn + msn, part, data=media, last=part == 5, duration_s=1 / 3
        )
        assert answer.status_code == 201, answer.text
    holder.close()
    return len(packets)


async def put_audio(owner: Owner, seconds: int) -> None:
    (holder, stream), packets = audio_packets(seconds)
    base = round((START_S + owner.next_event_time_s) * 48_000)
    for index, packet in enumerate(packets):
        packet.time_base = Fraction(1, 48_000)
        packet.pts = packet.dts = base + index * 1024
        packet.duration = 1024
    first = True
    for segment in range(seconds // 2):
        start, end = (math.ceil(n * 93.75) for n in (segment, segment + 1))
        for part, number in enumerate(range(start, end, 16)):
            piece = packets[number : min(number + 16, end)]
            init, media = muxed(stream, piece)
            if first:
                assert (await owner.put_init("a128", init)).status_code == 201
                first = False
            answer = await owner.put(
                "a128",
                owner.next_msn + segment,
                part,
                data=media,
                last=number + 16 >= end,
                duration_s=len(piece) * 1024 / 48_000,
            )
            assert answer.status_code == 201, answer.text
    holder.close()


async def probe(url: str, *entries: str) -> Any:
    process = await asyncio.create_subprocess_exec(
        "ffprobe", "-v", "error", "-of", "json", *entries, url, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return json.loads(output)


@pytest.mark.skipif(
    shutil.which("ffprobe") is None and os.environ.get("CI") != "true",
    reason="needs the ffmpeg package (make test sets it up)",
)
async def test_two_epochs_of_real_media_play_as_one_recording(recorder: Running) -> None:
    specs = [video("v180", height=180, bandwidth=300_000), audio()]
    frames = 0
    for seconds in (6, 4):
        owner = recorder.owner()
        await owner.acquire(specs, init=False)
        sent, _ = await asyncio.gather(put_video(owner, seconds), put_audio(owner, seconds))
        frames += sent
    await owner.end()
    base = f"{recorder.http.base_url}/acme/launch"

    report = await watch(f"{base}/main.m3u8", 5)
    listed = await recorder.http.get("/acme/launch/v180/index.m3u8")
    whole = await probe(f"{base}/main.m3u8", "-show_entries", "format=duration:stream=codec_name")
    packets = await probe(f"{base}/v180/index.m3u8", "-show_entries", "packet=pts_time")
    sound = await probe(f"{base}/a128/index.m3u8", "-show_entries", "packet=pts_time")

    assert errors(report.findings) == [] and check_static(listed.text) == []
    assert listed.text.count("#EXT-X-DISCONTINUITY\n") == 1
    assert listed.text.count("#EXT-X-MAP:") == 2
    assert {s["codec_name"] for s in whole["streams"]} == {"h264", "aac"}
    assert abs(float(whole["format"]["duration"]) - 10) < 0.1
    times = [float(p["pts_time"]) for p in packets["packets"]]
    assert len(times) == frames == 150
    steps = np.diff(times)
    # The second epoch starts where the longest rendition ended: at most an AAC frame later.
    inside = np.delete(steps, 89)
    assert np.allclose(inside, 1 / FRAME_RATE, atol=0.002)
    assert 0 <= steps[89] - 1 / FRAME_RATE < 1024 / 48_000
    assert len(sound["packets"]) == math.ceil(3 * 93.75) + math.ceil(2 * 93.75)
