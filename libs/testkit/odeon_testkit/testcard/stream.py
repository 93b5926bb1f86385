"""The test card as encoded media in real time: for a pipeline under test, or over WebRTC."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import numpy as np
from av.video.frame import PictureType
from odeon_media import Client, MediaError

from odeon_testkit.testcard.card import TestCard

_VIDEO_CLOCK = 90_000
_AUDIO_CLOCK = 48_000
_PACKET_SAMPLES = 960
_FIRST_RTP = {"video": 1_000_000, "audio": 777_000}


@dataclass(frozen=True, slots=True)
class CardFrame:
    """One encoded frame with the attributes of `odeon_media.Frame` that receivers use."""

    kind: str
    codec: str
    mid: str
    track: str | None
    media_s: float
    """Media time; its capture time is the stream's start plus this."""
    rtp_time: int
    clock_rate: int
    keyframe: bool
    data: bytes
    capture_time_us: int | None
    sr_ntp_us: int | None
    sr_rtp_time: int | None
    received_ns: int = 0
    contiguous: bool = True


class CardStream:
    """Encodes a card frame by frame; video and Opus on one clock that starts at `start_unix_s`."""

    def __init__(
        self,
        card: TestCard,
        *,
        codec: str = "h264",
        start_unix_s: float | None = None,
        bit_rate: int = 1_500_000,
        keyframe_every: int = 30,
        video_track: str = "cam",
        audio_track: str = "mic",
    ) -> None:
        self.card = card
        self.codec = codec
        self.start_unix_s = time.time() if start_unix_s is None else start_unix_s
        self._keyframe_every = keyframe_every
        self._names = {"video": video_track, "audio": audio_track}
        self._video = _video_encoder(card, codec, bit_rate)
        self._audio = _opus_encoder()
        self._frames = 0
        self._packets = 0
        self._force_key = False

    @property
    def next_video_s(self) -> float:
        """Media time of the next picture."""
        return self._frames / self.card.frame_rate

    @property
    def next_audio_s(self) -> float:
        """Media time at which the next Opus packet is complete."""
        return (self._packets + 1) * _PACKET_SAMPLES / _AUDIO_CLOCK

    def force_keyframe(self) -> None:
        """Make the next picture a keyframe."""
        self._force_key = True

    def video(self) -> CardFrame:
        """Encode the next picture."""
        index, self._frames = self._frames, self._frames + 1
        at_s = index / self.card.frame_rate
        picture = self.card.frame(index, round((self.start_unix_s + at_s) * 1000))
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, self.card.frame_rate)
        key = self._force_key or index % self._keyframe_every == 0
        frame.pict_type = PictureType.I if key else PictureType.NONE
        self._force_key = False
        packets = self._video.encode(frame)
        rtp = _FIRST_RTP["video"] + index * _VIDEO_CLOCK // self.card.frame_rate
        data = b"".join(bytes(packet) for packet in packets)
        return self._made("video", self.codec, at_s, rtp, _VIDEO_CLOCK, key, data)

    def audio(self) -> CardFrame:
        """Encode the next 20 ms."""
        index, self._packets = self._packets, self._packets + 1
        mono = self.card.samples(index * _PACKET_SAMPLES, _PACKET_SAMPLES)
        pcm = (np.repeat(mono, 2) * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(pcm, format="s16", layout="stereo")
        frame.sample_rate, frame.pts = _AUDIO_CLOCK, index * _PACKET_SAMPLES
        frame.time_base = Fraction(1, _AUDIO_CLOCK)
        (packet,) = self._audio.encode(frame)
        # The encoder's look-ahead: the packet's samples begin this much before the frame's.
        start = packet.pts if packet.pts is not None else index * _PACKET_SAMPLES
        rtp = _FIRST_RTP["audio"] + start
        return self._made(
            "audio", "opus", start / _AUDIO_CLOCK, rtp, _AUDIO_CLOCK, True, bytes(packet)
        )

    def _made(
        self, kind: str, codec: str, at_s: float, rtp: int, clock: int, key: bool, data: bytes
    ) -> CardFrame:
        return CardFrame(
            kind=kind,
            codec=codec,
            mid=kind,
            track=self._names[kind],
            media_s=at_s,
            rtp_time=rtp,
            clock_rate=clock,
            keyframe=key,
            data=data,
            capture_time_us=round((self.start_unix_s + at_s) * 1e6),
            sr_ntp_us=round(self.start_unix_s * 1e6),
            sr_rtp_time=_FIRST_RTP[kind],
        )


class CardFeed:
    """Plays streams in real time to a receiver that polls: stands for a WebRTC client in tests.

    `delay_s` gives each frame's network delay, within a track order is kept; `fate` may change a
    frame or drop it (None).
    """

    def __init__(
        self,
        *streams: CardStream,
        audio: bool = True,
        delay_s: Callable[[CardFrame], float] = lambda frame: 0.0,
        fate: Callable[[CardFrame], CardFrame | None] = lambda frame: frame,
    ) -> None:
        self.keyframes_asked = 0
        self.paused = threading.Event()
        self._streams = streams
        self._audio = audio
        self._delay_s = delay_s
        self._fate = fate
        self._waiting: list[tuple[float, CardFrame]] = []
        self._last_due: dict[str | None, float] = {}

    def preload(self, seconds: float) -> "CardFeed":
        """Encode this much beforehand, then start now: for machines too slow to do it live.

        The burnt-in clock then shows the time of encoding; counters and reports stay right.
        """
        for stream in self._streams:
            while stream.next_video_s < seconds:
                self._queue(stream, stream.video())
            while self._audio and stream.next_audio_s < seconds:
                self._queue(stream, stream.audio())
        later = time.time() + 0.3 - min(stream.start_unix_s for stream in self._streams)
        self._waiting = [(due + later, _later(frame, later)) for due, frame in self._waiting]
        self._waiting.sort(key=lambda item: item[0])
        self._last_due = {track: due + later for track, due in self._last_due.items()}
        for stream in self._streams:
            stream.start_unix_s += later
        return self

    def recv(self, timeout_ms: int, max: int = 64) -> Sequence[CardFrame]:
        """Frames that are due by now, waiting for the first."""
        deadline = time.monotonic() + timeout_ms / 1000
        while True:
            self._encode_due()
            now = time.time()
            due = [item for item in self._waiting if item[0] <= now][:max]
            if due or time.monotonic() >= deadline:
                self._waiting = [item for item in self._waiting if item not in due]
                frames = [replace(f, received_ns=time.monotonic_ns()) for _, f in due]
                return [] if self.paused.is_set() else frames
            time.sleep(0.001)

    def request_keyframe(self, mid: str) -> None:
        """Count it and obey."""
        self.keyframes_asked += 1
        for stream in self._streams:
            stream.force_keyframe()

    def _encode_due(self) -> None:
        now = time.time()
        for stream in self._streams:
            while stream.start_unix_s + stream.next_video_s <= now:
                self._queue(stream, stream.video())
            while self._audio and stream.start_unix_s + stream.next_audio_s <= now:
                self._queue(stream, stream.audio())
        self._waiting.sort(key=lambda item: item[0])

    def _queue(self, stream: CardStream, frame: CardFrame) -> None:
        fated = self._fate(frame)
        if fated is None:
            return
        due = stream.start_unix_s + frame.media_s + self._delay_s(frame)
        due = max(due, self._last_due.get(frame.track, 0.0))
        self._last_due[frame.track] = due
        self._waiting.append((due, fated))


class CardPublisher:
    """Publishes a card by WebRTC from a thread: `offer`, then `start` with the answer."""

    def __init__(
        self,
        card: TestCard,
        *,
        codec: str = "h264",
        audio: bool = True,
        bind_host: str = "127.0.0.1",
    ) -> None:
        self.client = Client(bind_host)
        self.frames_sent = 0
        self._card = card
        self._codec = codec
        self._audio = audio
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="card-publisher", daemon=True)
        self.offer = self.client.create_offer(video_codec=codec, audio=audio)  # type: ignore[arg-type]

    def start(self, answer: str) -> None:
        """Connect and send until `close`."""
        self.client.set_answer(answer)
        self._thread.start()

    def close(self) -> None:
        """Stop and hang up."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self.client.close()

    def _run(self) -> None:
        with suppress(MediaError):  # The node hung up.
            self._publish()

    def _publish(self) -> None:
        while not self.client.connected and not self._stopping.wait(0.005):
            pass
        mids = {media.kind: media.mid for media in self.client.medias()}
        stream = CardStream(self._card, codec=self._codec, keyframe_every=1_000_000)
        while not self._stopping.is_set():
            for event in self.client.poll_events(0):
                if event.kind == "keyframe_request":
                    stream.force_keyframe()
            now_s = time.time() - stream.start_unix_s
            if stream.next_video_s <= now_s:
                self.frames_sent += self._send(mids["video"], stream.video())
            elif self._audio and stream.next_audio_s <= now_s:
                self._send(mids["audio"], stream.audio())
            else:
                self._stopping.wait(0.002)

    def _send(self, mid: str, frame: CardFrame) -> bool:
        return self.client.send(
            mid, frame.data, rtp_time=frame.rtp_time, capture_time_us=frame.capture_time_us
        )


def _later(frame: CardFrame, seconds: float) -> CardFrame:
    """The same frame, captured later."""
    us = round(seconds * 1e6)
    captured, reported = frame.capture_time_us, frame.sr_ntp_us
    return replace(
        frame,
        capture_time_us=None if captured is None else captured + us,
        sr_ntp_us=None if reported is None else reported + us,
    )


def _video_encoder(card: TestCard, codec: str, bit_rate: int) -> av.VideoCodecContext:
    names = {"h264": "libx264", "vp8": "libvpx", "vp9": "libvpx-vp9", "av1": "libsvtav1"}
    encoder = av.CodecContext.create(names[codec], "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = card.width, card.height, "yuv420p"
    encoder.time_base = Fraction(1, card.frame_rate)
    encoder.framerate = Fraction(card.frame_rate)
    encoder.bit_rate, encoder.max_b_frames = bit_rate, 0
    if codec == "h264":
        encoder.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "x264-params": "keyint=infinite:scenecut=0",
        }
    elif codec == "av1":
        encoder.options = {"preset": "12", "svtav1-params": "pred-struct=1:rc=2:lp=1"}
    else:
        encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
    return encoder


def _opus_encoder() -> av.AudioCodecContext:
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.bit_rate = _AUDIO_CLOCK, 64_000
    encoder.layout, encoder.format = "stereo", "s16"
    encoder.time_base = Fraction(1, _AUDIO_CLOCK)
    encoder.options = {"application": "audio", "frame_duration": "20"}
    return encoder
