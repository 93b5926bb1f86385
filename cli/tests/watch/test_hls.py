"""Playing HLS from a real HTTP server: media made here, measured as a viewer sees it."""

import io
import struct
import time
from collections.abc import AsyncIterator
from fractions import Fraction

import av
import pytest
from av.video.frame import VideoFrame
from odeon_cli.console import CliError
from odeon_cli.watch.hls import HlsWatch
from odeon_runtime.http import HttpServer
from odeon_testkit.testcard import TestCard
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

RATE = 15
SEGMENTS = 3

MAIN = """#EXTM3U
#EXT-X-STREAM-INF:BANDWIDTH=900000,CODECS="avc1.42c01e",RESOLUTION=640x360
v360/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=300000,CODECS="avc1.42c01e",RESOLUTION=320x180
v180/index.m3u8
"""


def fragments(width: int, height: int, capture_ms: int) -> list[bytes]:
    """An init section and one fragment of a second each."""
    buffer = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    card = TestCard(width, height, RATE)
    with av.open(buffer, "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = RATE
        stream.codec_context.max_b_frames = 0
        stream.codec_context.options = {"preset": "ultrafast", "x264-params": "scenecut=0"}
        for index in range(SEGMENTS * RATE):
            picture = card.frame(index, capture_ms + index * 1000 // RATE)
            frame = VideoFrame.from_ndarray(picture, format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return split(buffer.getvalue())


def split(data: bytes) -> list[bytes]:
    starts, offset = [0], 0
    while offset < len(data):
        size, name = struct.unpack(">I4s", data[offset : offset + 8])
        if name in (b"moof", b"mfra"):
            starts.append(offset)
        offset += size
    pieces = [data[a:b] for a, b in zip(starts, [*starts[1:], len(data)], strict=True)]
    return [piece for piece in pieces if piece[4:8] != b"mfra"]


def playlist(*, gaps: tuple[int, ...] = ()) -> str:
    lines = ["#EXTM3U", "#EXT-X-VERSION:9", "#EXT-X-TARGETDURATION:1", "#EXT-X-MEDIA-SEQUENCE:0"]
    lines.append('#EXT-X-MAP:URI="init-1.mp4"')
    for msn in range(SEGMENTS):
        lines += ["#EXT-X-GAP"] if msn in gaps else []
        lines += ["#EXTINF:1.0,", f"s{msn}.m4s"]
    return "\n".join([*lines, "#EXT-X-ENDLIST", ""])


class Origin:
    """Serves two renditions; `gaps` of the better one can be set, and requests can be failed."""

    def __init__(self) -> None:
        self.gaps: dict[str, tuple[int, ...]] = {}
        self.fail_next = 0
        self.asked: list[str] = []
        made_ms = int(time.time() * 1000)
        self.media = {
            "v360": fragments(640, 360, made_ms),
            "v180": fragments(320, 180, made_ms),
        }

    async def serve(self, request: Request) -> Response:
        path = request.url.path.removeprefix("/t/a.b.c/acme/gala/")
        self.asked.append(path)
        if self.fail_next:
            self.fail_next -= 1
            return Response("restarting", status_code=503)
        if path == "main.m3u8":
            return Response(MAIN)
        track, _, name = path.partition("/")
        if name == "index.m3u8":
            return Response(playlist(gaps=self.gaps.get(track, ())))
        if name == "init-1.mp4":
            return Response(self.media[track][0])
        return Response(self.media[track][1 + int(name[1:-4])])


@pytest.fixture
async def origin() -> Origin:
    return Origin()


@pytest.fixture
async def url(origin: Origin) -> AsyncIterator[str]:
    app = Starlette(routes=[Route("/{path:path}", origin.serve)])
    async with HttpServer(app, host="127.0.0.1", port=0) as server:
        yield f"http://{server.address}/t/a.b.c/acme/gala/main.m3u8"


def viewer(url: str, rendition: str = "") -> HlsWatch:
    return HlsWatch(url, rendition=rendition, ca_file="", on_report=lambda report: None)


async def test_a_recording_plays_to_its_end_without_a_frame_missing(url: str) -> None:
    watch = viewer(url)

    await watch.run(None)

    report = watch.report()
    assert (report.rendition, report.frames) == ("v360", SEGMENTS * RATE)
    assert (report.missing, report.repeated, report.stalls, report.gaps) == (0, 0, 0, 0)
    assert report.latency_source == "test card"
    assert report.latency_p50_ms is not None


async def test_where_one_rendition_has_a_gap_the_next_one_is_shown(
    url: str, origin: Origin
) -> None:
    origin.gaps = {"v360": (1,)}
    watch = viewer(url)

    await watch.run(None)

    report = watch.report()
    assert (report.rendition, report.gaps) == ("v180", 0)
    assert (report.frames, report.missing) == (SEGMENTS * RATE, 0)


async def test_a_gap_in_every_rendition_is_a_gap(url: str, origin: Origin) -> None:
    origin.gaps = {"v360": (1,), "v180": (1,)}
    watch = viewer(url)

    await watch.run(4.0)

    assert (watch.report().gaps, watch.report().gap_s) == (1, 1.0)


async def test_an_origin_that_restarts_is_asked_again(url: str, origin: Origin) -> None:
    origin.fail_next = 3
    watch = viewer(url)

    await watch.run(1.0)

    assert watch.report().frames > 0


async def test_a_rendition_that_is_not_there_is_told_with_those_that_are(url: str) -> None:
    with pytest.raises(CliError) as refusal:
        await viewer(url, "v9000").run(1.0)

    assert "v360, v180" in refusal.value.hint


async def test_an_address_without_a_stream_is_told_without_its_token() -> None:
    app = Starlette()
    async with HttpServer(app, host="127.0.0.1", port=0) as server:
        watch = viewer(f"http://{server.address}/t/secret.token.x/acme/gala/main.m3u8")
        with pytest.raises(CliError) as refusal:
            await watch.run(1.0)

    assert "404" in refusal.value.message
    assert "secret" not in refusal.value.message
