"""One audio track: decodes Opus and keeps samples on the programme's clock."""

import logging
import threading
import time
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from odeon_transcoder.domain.cuts import AUDIO_RATE
from odeon_transcoder.domain.timeline_clock import ProgrammeClock
from odeon_transcoder.pipeline.media import EncodedFrame, Readiness
from odeon_transcoder.pipeline.person import Person

_log = logging.getLogger(__name__)

CHANNELS = 2
_BUFFER_SAMPLES = AUDIO_RATE * 4
_TOLERANCE_SAMPLES = AUDIO_RATE * 12 // 1000
"""Packets this close to where the last one ended are joined without a seam."""
_FADE_SAMPLES = AUDIO_RATE * 5 // 2000

Samples = NDArray[np.float32]


class SampleBuffer:
    """Four seconds of stereo samples, addressed by their place on the programme's clock.

    Not thread-safe by itself. Reading moves on: what is read once is gone.
    """

    def __init__(self) -> None:
        self._ring = np.zeros((CHANNELS, _BUFFER_SAMPLES), np.float32)
        self._read_to = 0
        self.end: int | None = None
        """Where the samples written so far end; None before the first."""
        self.late = 0
        """Samples that came after their time had been read."""

    def write(self, start: int, samples: Samples) -> None:
        """Put samples at `start`, or right behind the last ones when that is nearly there."""
        if self.end is not None and abs(start - self.end) <= _TOLERANCE_SAMPLES:
            start = self.end
        elif self.end is not None:
            samples = _faded_in(samples)
            if start < self.end:
                overlap = min(self.end - start, samples.shape[1])
                samples, start = samples[:, overlap:], self.end
        late = min(max(0, self._read_to - start), samples.shape[1])
        self.late += late
        samples, start = samples[:, late:], start + late
        room = self._read_to + _BUFFER_SAMPLES - start
        samples = samples[:, : max(0, room)]
        self._copy(start, samples)
        self.end = max(start + samples.shape[1], self.end or 0)

    def read(self, start: int, count: int) -> Samples:
        """Samples from `start` on; silence where nothing was written."""
        self._skip_to(start)
        index = np.arange(start, start + count) % _BUFFER_SAMPLES
        out = self._ring[:, index]
        self._skip_to(start + count)
        return out

    def _copy(self, start: int, samples: Samples) -> None:
        at = start % _BUFFER_SAMPLES
        first = min(samples.shape[1], _BUFFER_SAMPLES - at)
        self._ring[:, at : at + first] = samples[:, :first]
        self._ring[:, : samples.shape[1] - first] = samples[:, first:]

    def _skip_to(self, position: int) -> None:
        """Clear what lies between the last read and `position`, so that the ring starts silent."""
        span = min(position - self._read_to, _BUFFER_SAMPLES)
        if span <= 0:
            return
        at = self._read_to % _BUFFER_SAMPLES
        first = min(span, _BUFFER_SAMPLES - at)
        self._ring[:, at : at + first] = 0
        self._ring[:, : span - first] = 0
        self._read_to = position


def _faded_in(samples: Samples) -> Samples:
    """Samples that start silent, so that a seam does not click."""
    count = min(_FADE_SAMPLES, samples.shape[1])
    faded = samples.copy()
    faded[:, :count] *= np.linspace(0, 1, count, dtype=np.float32)
    return faded


class AudioTrack:
    """Thread-safe: the receiving thread pushes, the mixer reads."""

    def __init__(self, track_id: str, person: Person, programme: ProgrammeClock) -> None:
        self._programme = programme
        self.track_id = track_id
        self.received = 0
        self.undecodable = 0
        self._person = person
        self._buffer = SampleBuffer()
        self._lock = threading.Lock()
        self._decoder = av.CodecContext.create("libopus", "r")
        self._resampler = av.AudioResampler(format="fltp", layout="stereo", rate=AUDIO_RATE)
        self._stalled = True
        self._heard_s = float("-inf")

    def push(self, frame: EncodedFrame) -> None:
        """Decode a packet and keep its samples where they belong."""
        self.received += 1
        packet = av.Packet(frame.data)
        packet.pts = packet.dts = frame.rtp_time
        packet.time_base = Fraction(1, frame.clock_rate)
        try:
            decoded = [
                samples.to_ndarray()
                for raw in self._decoder.decode(packet)
                if isinstance(raw, av.AudioFrame)
                for samples in self._resampler.resample(raw)
            ]
        except av.FFmpegError as error:
            self.undecodable += 1
            _log.info("undecodable track=%s error=%s", self.track_id, type(error).__name__)
            return
        self._heard_s = time.monotonic()
        place = self._person.place(self.track_id, frame, video=False)
        if place is None:
            return
        start = round(place.programme_s * AUDIO_RATE)
        now = time.monotonic()
        self._person.observe_slack(
            self.track_id, now, self._programme.deadline(place.programme_s) - now
        )
        with self._lock:
            for samples in decoded:
                self._buffer.write(start, samples.astype(np.float32, copy=False))
                start += samples.shape[1]
            self._stalled = False

    def age_s(self, now_s: float) -> float:
        """Seconds since the last packet; infinite before the first."""
        return now_s - self._heard_s

    def state(self, end: int) -> Readiness:
        """Whether samples before `end` are there or still expected."""
        with self._lock:
            if self._stalled or self._buffer.end is None:
                return Readiness.STALLED
            return Readiness.READY if self._buffer.end >= end else Readiness.OWES

    def restart(self) -> None:
        """A new epoch counts samples from zero again."""
        with self._lock:
            self._buffer = SampleBuffer()
            self._stalled = True

    def read(self, start: int, count: int) -> Samples:
        """Samples for the mixer, silence for what is missing."""
        with self._lock:
            if self._buffer.end is None or self._buffer.end < start + count:
                # It missed its deadline: the mixer does not wait again until it delivers.
                self._stalled = True
            return self._buffer.read(start, count)

    def close(self) -> None:
        """The track ended."""
        self._person.forget(self.track_id)
