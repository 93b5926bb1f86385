"""One video track: decodes in a thread of its own and offers pictures by slot."""

import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.hwaccel import HWAccel

from odeon_transcoder.domain.capture import CaptureClock
from odeon_transcoder.domain.ladder import Size
from odeon_transcoder.domain.timeline_clock import JUMP_S, ProgrammeClock, Slotter
from odeon_transcoder.pipeline.colour import Normaliser
from odeon_transcoder.pipeline.media import EncodedFrame, Picture, Readiness
from odeon_transcoder.pipeline.person import Person

_log = logging.getLogger(__name__)

_DECODERS = {"h264": "h264", "vp8": "vp8", "vp9": "vp9", "av1": "libdav1d"}
_MAX_ENCODED = 120
"""Encoded frames that may wait for the decoder; 4 s at 30 fps."""
_MAX_PICTURES = 90
_MAX_IN_DECODER = 32
_MAX_PIXELS = 3840 * 2160
_KEYFRAME_RETRY_S = 0.5
_RATE_STEPS = 5


@dataclass(slots=True)
class VideoCounters:
    """What happened to a track's frames since it appeared."""

    received: int = 0
    absent: int = 0
    """Never came: gaps in the source's own cadence of RTP times while the programme ran."""
    decoded: int = 0
    dropped: int = 0
    """Decoded, but a newer one took its slot or its time had passed."""
    undecodable: int = 0


class VideoTrack:
    """Pictures of a track, ordered by slot. `push` feeds it, `take` advances it.

    After a loss the picture freezes until the next keyframe, because predicted pictures without
    their reference would smear for up to a group of pictures.
    """

    def __init__(
        self,
        track_id: str,
        person: Person,
        programme: ProgrammeClock,
        *,
        changed: Callable[[], None],
        request_keyframe: Callable[[], None],
        hardware: str | None = None,
    ) -> None:
        self.track_id = track_id
        self.counters = VideoCounters()
        self.size: Size | None = None
        self._person = person
        self._programme = programme
        self._changed = changed
        self._request_keyframe = request_keyframe
        self._hardware = hardware
        self._slotter = Slotter(programme.frame_rate)
        self._moves = 0
        self._encoded: deque[EncodedFrame] = deque()
        self._waiting = threading.Condition()
        self._closed = False
        self._pictures: deque[Picture] = deque()
        self._lock = threading.Lock()
        self._current: Picture | None = None
        self._newest_slot: int | None = None
        self._step = 1.0
        self._stalled = True
        self._last_ready_s = float("-inf")
        self._rtp_steps: deque[float] = deque(maxlen=30)
        self._last_rtp: int | None = None
        self._pushed_rtp: int | None = None
        self._cadence: int | None = None
        self._needs_keyframe = True
        self._asked_s = float("-inf")
        self._codec: str | None = None
        self._decoder: av.VideoCodecContext | None = None
        self._normaliser = Normaliser()
        self._capture_clock = CaptureClock()
        self._in_decoder: dict[int, EncodedFrame] = {}
        self._thread = threading.Thread(target=self._run, name=f"decode-{track_id}", daemon=True)
        self._thread.start()

    # Fed by the receiving thread

    def push(self, frame: EncodedFrame) -> None:
        """Hand over an encoded frame; a full queue is emptied up to the next keyframe."""
        with self._waiting:
            self.counters.received += 1
            self._count_absent(frame.rtp_time, frame.clock_rate)
            if len(self._encoded) >= _MAX_ENCODED:
                self.counters.dropped += len(self._encoded)
                self._encoded.clear()
                self._needs_keyframe = True
            self._encoded.append(frame)
            self._waiting.notify()

    def _count_absent(self, rtp_time: int, clock_rate: int) -> None:
        """What the source left out or the network lost; means little when its rate varies."""
        step = rtp_time - self._pushed_rtp if self._pushed_rtp is not None else 0
        self._pushed_rtp = rtp_time
        if self._cadence is not None and step > 1.5 * self._cadence:
            # A longer gap may as well be RTP time that jumped.
            if self._programme.zero_s is not None and step <= JUMP_S * clock_rate:
                self.counters.absent += round(step / self._cadence) - 1
        elif step > 0:
            self._cadence = step

    def close(self) -> None:
        """Stop decoding; pictures that are there stay."""
        with self._waiting:
            self._closed = True
            self._waiting.notify()
        self._thread.join(timeout=2)
        self._person.forget(self.track_id)

    # Used by the programme

    def readiness(self, slot: int) -> Readiness:
        """What waiting for this slot would bring."""
        with self._lock:
            newest = self._newest_slot
            if self._stalled or newest is None:
                return Readiness.STALLED
            if slot <= newest:
                return Readiness.READY
            # A source slower than the programme owes nothing between two of its pictures.
            return Readiness.IDLE if slot < newest + self._step - 0.5 else Readiness.OWES

    def take(self, slot: int) -> tuple[Picture | None, bool]:
        """The picture for this slot, and whether it repeats the last one against expectation."""
        with self._lock:
            before = self._current
            taken = 0
            while self._pictures and self._pictures[0].slot <= slot:
                self._current = self._pictures.popleft()
                taken += 1
            self.counters.dropped += max(0, taken - 1)
            owed = (
                before is not None
                and taken == 0
                and self._newest_slot is not None
                and slot >= self._newest_slot + self._step - 0.5
            )
            if owed:
                # It missed its deadline: nobody waits for it again until it delivers.
                self._stalled = True
            return self._current, owed

    def age_s(self, now_s: float) -> float:
        """Seconds since the last decoded picture; infinite before the first."""
        return now_s - self._last_ready_s

    @property
    def has_picture(self) -> bool:
        """Whether anything was decoded yet."""
        return self._last_ready_s != float("-inf")

    def rate(self, *, of_steps: int = _RATE_STEPS) -> float | None:
        """Pictures a second by RTP time; None until there were `of_steps` steps between them."""
        steps = list(self._rtp_steps)
        if len(steps) < of_steps:
            return None
        median = statistics.median(steps)
        return 1 / median if median > 0 else None

    def restart(self) -> None:
        """A new epoch counts slots from zero again: forget what was placed."""
        with self._lock:
            self._slotter = Slotter(self._programme.frame_rate)
            self._pictures.clear()
            self._current = None
            self._newest_slot = None
            self._step = 1.0
            self._stalled = True

    # The decoding thread

    def _run(self) -> None:
        while (frame := self._next()) is not None:
            try:
                self._decode(frame)
            except av.FFmpegError as error:
                self.counters.undecodable += 1
                self._needs_keyframe = True
                self._decoder = None
                _log.info("undecodable track=%s error=%s", self.track_id, type(error).__name__)
            if self._needs_keyframe:
                self._ask()

    def _next(self) -> EncodedFrame | None:
        with self._waiting:
            while not self._encoded and not self._closed:
                self._waiting.wait()
            return None if self._closed else self._encoded.popleft()

    def _ask(self) -> None:
        now = time.monotonic()
        if now - self._asked_s >= _KEYFRAME_RETRY_S:
            self._asked_s = now
            self._request_keyframe()

    def _decode(self, frame: EncodedFrame) -> None:
        if frame.codec != self._codec:
            self._codec, self._decoder = frame.codec, None
            self._needs_keyframe = True
        if not frame.contiguous:
            self._needs_keyframe = True
        if self._needs_keyframe and not frame.keyframe:
            self.counters.undecodable += 1
            return
        self._needs_keyframe = False
        decoder = self._decoder or self._open(frame.codec)
        packet = av.Packet(frame.data)
        packet.pts = packet.dts = frame.rtp_time
        packet.time_base = Fraction(1, frame.clock_rate)
        self._in_decoder[frame.rtp_time] = frame
        while len(self._in_decoder) > _MAX_IN_DECODER:
            del self._in_decoder[next(iter(self._in_decoder))]
        for picture in decoder.decode(packet):
            # A decoder may hold pictures back; each goes by its own frame's times.
            of = self._in_decoder.pop(picture.pts, frame) if picture.pts is not None else frame
            self._accept(picture, of)

    def _open(self, codec: str) -> av.VideoCodecContext:
        hwaccel = HWAccel(self._hardware, allow_software_fallback=True) if self._hardware else None
        decoder = av.CodecContext.create(_DECODERS[codec], "r", hwaccel)
        assert isinstance(decoder, av.VideoCodecContext)
        decoder.thread_count = 1 if codec != "av1" else 2
        decoder.options = {"max_pixels": str(_MAX_PIXELS), "flags": "+low_delay"}
        if codec == "av1":
            decoder.options = {"max_frame_delay": "1", "max_pixels": str(_MAX_PIXELS)}
        self._decoder = decoder
        return decoder

    def _accept(self, picture: av.VideoFrame, frame: EncodedFrame) -> None:
        self.counters.decoded += 1
        picture = self._normaliser.normalise(picture)
        self.size = Size(picture.width, picture.height)
        self._measure_rate(frame)
        place = self._person.place(self.track_id, frame, video=True)
        now = time.monotonic()
        self._last_ready_s = now
        if place is None:
            self._changed()
            return
        if place.moves != self._moves:
            self._moves = place.moves
            self._slotter.moved()
        slot = self._slotter.slot(place.programme_s)
        self._person.observe_slack(
            self.track_id, now, self._programme.deadline(self._programme.slot_time(slot)) - now
        )
        capture_s = self._captured_s(frame)
        with self._lock:
            self._queue(Picture(slot, picture, capture_s))
        self._changed()

    def _captured_s(self, frame: EncodedFrame) -> float:
        said_s = frame.capture_time_us / 1e6 if frame.capture_time_us is not None else None
        since_arrival_s = time.monotonic() - frame.received_ns / 1e9
        return self._capture_clock.captured_s(said_s, time.time() - since_arrival_s)

    def _queue(self, picture: Picture) -> None:
        if self._newest_slot is not None and picture.slot > self._newest_slot:
            self._step += (min(picture.slot - self._newest_slot, 30) - self._step) * 0.1
        while self._pictures and self._pictures[-1].slot >= picture.slot:
            self._pictures.pop()
            self.counters.dropped += 1
        if len(self._pictures) >= _MAX_PICTURES:
            self._pictures.popleft()
            self.counters.dropped += 1
        self._pictures.append(picture)
        self._newest_slot = picture.slot
        self._stalled = False

    def _measure_rate(self, frame: EncodedFrame) -> None:
        if self._last_rtp is not None and frame.rtp_time > self._last_rtp:
            self._rtp_steps.append((frame.rtp_time - self._last_rtp) / frame.clock_rate)
        self._last_rtp = frame.rtp_time
