"""Stands in for a WebRTC client and for a recorder: real media, real HTTP, no network."""

import base64
import hashlib
import http.server
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
from odeon_testkit.testcard import TestCard


@dataclass(frozen=True)
class SentFrame:
    """What a client would hand over."""

    mid: str
    track: str | None
    codec: str
    rtp_time: int
    clock_rate: int
    keyframe: bool
    data: bytes
    capture_time_us: int | None
    sr_ntp_us: int | None
    sr_rtp_time: int | None
    received_ns: int = 0
    contiguous: bool = True


@dataclass(frozen=True)
class _Planned:
    due_s: float
    frame: SentFrame


class CardSource:
    """Publishes a test card in real time, encoded beforehand so that it costs nothing later."""

    def __init__(
        self,
        card: TestCard,
        seconds: float,
        *,
        track: str = "cam",
        audio_track: str | None = "mic",
        skew_ms: float = 0.0,
        codec: str = "h264",
        start_s: float | None = None,
        delay: Callable[[int], float] = lambda index: 0.0,
        keyframe_every: int = 30,
    ) -> None:
        self.card = card
        self.start_s = start_s if start_s is not None else time.monotonic() + 0.2
        self.start_unix_s = time.time() + (self.start_s - time.monotonic())
        self.keyframes_asked = 0
        self._lock = threading.Lock()
        planned = _video(self, card, seconds, track, codec, delay, keyframe_every)
        if audio_track is not None:
            planned += _audio(self, card, seconds, audio_track, skew_ms)
        self._planned = sorted(planned, key=lambda p: p.due_s)
        self._at = 0

    def shift(self, start_s: float) -> None:
        """Start again at another time, e.g. once everything else is set up."""
        moved = start_s - self.start_s
        self.start_s = start_s
        self._planned = [_Planned(p.due_s + moved, _moved(p.frame, moved)) for p in self._planned]

    def recv(self, timeout_ms: int, max: int = 64) -> Sequence[SentFrame]:
        deadline = time.monotonic() + timeout_ms / 1000
        with self._lock:
            out: list[SentFrame] = []
            while self._at < len(self._planned) and len(out) < max:
                planned = self._planned[self._at]
                now = time.monotonic()
                if planned.due_s > now:
                    if out or planned.due_s > deadline:
                        break
                    time.sleep(planned.due_s - now)
                out.append(_arrived(planned.frame))
                self._at += 1
        if not out:
            time.sleep(max_zero(deadline - time.monotonic()))
        return out

    def request_keyframe(self, mid: str) -> None:
        self.keyframes_asked += 1


def max_zero(value: float) -> float:
    return value if value > 0 else 0.0


def _arrived(frame: SentFrame) -> SentFrame:
    return SentFrame(**{**frame.__dict__, "received_ns": time.monotonic_ns()})


def _moved(frame: SentFrame, seconds: float) -> SentFrame:
    us = round(seconds * 1e6)
    return SentFrame(
        **{
            **frame.__dict__,
            "capture_time_us": (frame.capture_time_us or 0) + us,
            "sr_ntp_us": (frame.sr_ntp_us or 0) + us,
        }
    )


def _video(
    source: CardSource,
    card: TestCard,
    seconds: float,
    track: str,
    codec: str,
    delay: Callable[[int], float],
    keyframe_every: int,
) -> list[_Planned]:
    name = {"h264": "libx264", "vp8": "libvpx", "vp9": "libvpx-vp9", "av1": "libsvtav1"}[codec]
    encoder = av.CodecContext.create(name, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = card.width, card.height, "yuv420p"
    encoder.time_base, encoder.framerate = Fraction(1, 90000), Fraction(card.frame_rate)
    encoder.bit_rate, encoder.gop_size, encoder.max_b_frames = 1_500_000, keyframe_every, 0
    if codec == "h264":
        encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
    elif codec in ("vp8", "vp9"):
        encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    else:
        encoder.options = {"preset": "12", "svtav1-params": "pred-struct=1:lp=1"}
    rtp0, planned = 1_000_000, []
    for n in range(int(seconds * card.frame_rate)):
        at = n / card.frame_rate
        unix_s = source.start_unix_s + at
        frame = av.VideoFrame.from_ndarray(card.frame(n, round(unix_s * 1000)), format="yuv420p")
        frame.pts, frame.time_base = n * 90000 // card.frame_rate, Fraction(1, 90000)
        for packet in encoder.encode(frame):
            index = round((packet.pts or 0) * card.frame_rate / 90000)
            planned.append(
                _Planned(
                    source.start_s + index / card.frame_rate + delay(index),
                    SentFrame(
                        mid="v",
                        track=track,
                        codec=codec,
                        rtp_time=rtp0 + index * 90000 // card.frame_rate,
                        clock_rate=90000,
                        keyframe=packet.is_keyframe,
                        data=bytes(packet),
                        capture_time_us=round(
                            (source.start_unix_s + index / card.frame_rate) * 1e6
                        ),
                        sr_ntp_us=round(source.start_unix_s * 1e6),
                        sr_rtp_time=rtp0,
                    ),
                )
            )
    return planned


def _audio(
    source: CardSource, card: TestCard, seconds: float, track: str, skew_ms: float
) -> list[_Planned]:
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = 48000, "stereo", "s16"
    encoder.bit_rate, encoder.time_base = 64000, Fraction(1, 48000)
    encoder.options = {"application": "audio", "frame_duration": "20"}
    rtp0, planned = 777_000, []
    for k in range(int(seconds * 50)):
        mono = card.samples(k * 960 - round(skew_ms * 48), 960)
        pcm = (np.repeat(mono, 2) * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48000, k * 960, Fraction(1, 48000)
        for packet in encoder.encode(frame):
            # Opus' pre-skip: the decoder's output lags by it, a sender counts it as capture time.
            start = (packet.pts or 0) + 0
            planned.append(
                _Planned(
                    source.start_s + start / 48000 + 0.02,
                    SentFrame(
                        mid="a",
                        track=track,
                        codec="opus",
                        rtp_time=rtp0 + start,
                        clock_rate=48000,
                        keyframe=True,
                        data=bytes(packet),
                        capture_time_us=round((source.start_unix_s + start / 48000) * 1e6),
                        sr_ntp_us=round(source.start_unix_s * 1e6),
                        sr_rtp_time=rtp0,
                    ),
                )
            )
    return planned


@dataclass
class StoredPart:
    """A part as the recorder got it."""

    msn: int
    part: int
    data: bytes
    duration_s: float
    independent: bool
    last: bool
    capture_ms: int | None
    at_unix_s: float


@dataclass
class FakeRecorder:
    """Takes parts over real HTTP and keeps them in memory; answers can be made to fail."""

    url: str = ""
    inits: dict[str, bytes] = field(default_factory=dict)
    parts: dict[str, list[StoredPart]] = field(default_factory=lambda: defaultdict(list))
    requests: int = 0
    fault: Callable[[str], tuple[int, str] | None] = lambda path: None
    """Given a path, an answer (status, reason) instead of storing; status 0 cuts the connection."""
    changed: threading.Condition = field(default_factory=threading.Condition)

    def file(self, track: str) -> bytes:
        """The whole track as one file."""
        return self.inits[track] + b"".join(part.data for part in self.parts[track])

    def wait_for(self, ready: Callable[["FakeRecorder"], bool], timeout_s: float = 20) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: ready(self), timeout_s)

    def store(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        _, kind, _tenant, _event, track, *place = path.split("/")
        assert kind == "ingest"
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        if headers["content-digest"] != f"sha-256=:{digest}:":
            return 400, "DIGEST_MISMATCH"
        with self.changed:
            if place == ["init"]:
                self.inits[track] = body
                return 201, ""
            msn, part = int(place[0]), int(place[1])
            for stored in self.parts[track]:
                if (stored.msn, stored.part) == (msn, part):
                    return (200, "") if stored.data == body else (409, "PART_CONFLICT")
            self.parts[track].append(
                StoredPart(
                    msn=msn,
                    part=part,
                    data=body,
                    duration_s=float(headers["odeon-duration"]),
                    independent=headers["odeon-independent"] == "?1",
                    last=headers["odeon-last"] == "?1",
                    capture_ms=int(headers["odeon-capture"])
                    if "odeon-capture" in headers
                    else None,
                    at_unix_s=time.time(),
                )
            )
            self.changed.notify_all()
            return 201, ""


@contextmanager
def fake_recorder() -> Iterator[FakeRecorder]:
    """A recorder on a free port."""
    recorder = FakeRecorder()

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            recorder.requests += 1
            headers = {key.lower(): value for key, value in self.headers.items()}
            status, reason = recorder.fault(self.path) or recorder.store(self.path, headers, body)
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", "0")
            if reason:
                self.send_header("Odeon-Reason", reason)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    recorder.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()
