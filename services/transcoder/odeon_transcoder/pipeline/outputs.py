"""Everything one epoch writes: encoders, packagers and uploaders of all renditions."""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import av

from odeon_transcoder.domain.cuts import (
    AAC_FRAME_SAMPLES,
    AudioCuts,
    VideoCuts,
    audio_start_samples,
    video_start_ticks,
)
from odeon_transcoder.domain.ladder import Ladder, Rung, Size, TrackSpec
from odeon_transcoder.domain.overload import OverloadGuard
from odeon_transcoder.pipeline.encode import (
    AudioEncoder,
    EncoderChoice,
    VideoEncoder,
    audio_spec,
    open_audio,
    open_video,
    video_spec,
)
from odeon_transcoder.pipeline.media import Grant, Part
from odeon_transcoder.pipeline.package import Packager
from odeon_transcoder.pipeline.upload import Bearer, Target, TrackUploader, UploadEvents

_LATENCIES = 300
"""Parts whose capture-to-acknowledgement times are kept for the report."""


@dataclass(frozen=True, slots=True)
class Ingest:
    """Where an event's parts go."""

    base_url: str
    tenant: str
    event: str


@dataclass(frozen=True, slots=True)
class RungState:
    """One rendition as status shows it."""

    track: str
    running: bool
    reason: str = ""


@dataclass(slots=True)
class AckTimes:
    """Capture-to-acknowledgement times of the last parts, in seconds."""

    _times: deque[float] = field(default_factory=lambda: deque(maxlen=_LATENCIES))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, seconds: float) -> None:
        """Count one part; negative means that its capture time is unknown."""
        if seconds >= 0:
            with self._lock:
                self._times.append(seconds)

    def p95(self) -> float | None:
        """95th percentile, or None before the first part."""
        with self._lock:
            times = sorted(self._times)
        return times[min(len(times) - 1, len(times) * 95 // 100)] if times else None


class Encoders:
    """Opened encoders of a ladder; they name the renditions that the recorder is asked for."""

    def __init__(self, ladder: Ladder, choice: EncoderChoice) -> None:
        self.ladder = ladder
        self.video = [(rung, open_video(rung, ladder.frame_rate, choice)) for rung in ladder.rungs]
        self.audio = open_audio(ladder.audio)

    def specs(self) -> list[TrackSpec]:
        """What to tell the recorder."""
        rate = self.ladder.frame_rate
        video = [video_spec(rung, rate, stream) for rung, stream in self.video]
        return [*video, audio_spec(self.ladder.audio)]


class Outputs:
    """The running outputs of one granted epoch. Video is pushed by one thread, audio by another."""

    def __init__(
        self,
        encoders: Encoders,
        grant: Grant,
        ingest: Ingest,
        bearer: Bearer,
        *,
        on_lost: Callable[[str], None],
        on_unauthorised: Callable[[], None],
        ack_times: AckTimes,
    ) -> None:
        ladder = encoders.ladder
        self.ladder = ladder
        self.grant = grant
        self._ack_times = ack_times
        self._on_lost = on_lost
        self._guard = OverloadGuard(rungs=len(ladder.rungs))
        self._target = Target(ingest.base_url, ingest.tenant, ingest.event, grant.epoch)
        self._bearer = bearer
        self._events = UploadEvents(self._acknowledged, on_lost, on_unauthorised)
        self._uploaders: list[TrackUploader] = []
        self._next_slot = 0
        self.origin_s: float | None = None
        """Unix seconds at which the epoch's first moment was captured, by the last picture."""
        self.video = [self._video(rung, stream) for rung, stream in encoders.video]
        self.audio = self._audio(encoders.audio)

    def push_picture(
        self, slot: int, frame: av.VideoFrame | None, capture_s: float | None, due_s: float
    ) -> None:
        """Give the picture of a slot to every running rung; None leaves the slot out."""
        self._next_slot = slot + 1
        if capture_s is not None:
            self.origin_s = capture_s - slot / self.ladder.frame_rate
        for encoder in self.video:
            encoder.push(slot, frame, capture_s, due_s)

    def guard(self, now_s: float) -> bool:
        """Let top rungs rest or return by the load; whether anything changed."""
        running = [encoder for encoder in self.video if not encoder.resting]
        lag = max(encoder.lag_s(now_s) for encoder in running)
        busy = max(encoder.busy_share for encoder in running)
        before = self._guard.resting
        resting = self._guard.observe(now_s, lag, busy)
        for index, encoder in enumerate(self.video):
            encoder.rest(index < resting)
        return resting != before

    @property
    def canvas(self) -> Size:
        """Size that the largest running rung needs."""
        return next(e.rung.size for e in self.video if not e.resting)

    @property
    def pending(self) -> int:
        """Parts that the recorder has not acknowledged yet."""
        return sum(uploader.pending for uploader in self._uploaders)

    @property
    def frames_encoded(self) -> int:
        """Frames of the largest rung that runs."""
        return max((e.counters.encoded for e in self.video), default=0)

    @property
    def frames_skipped(self) -> int:
        """Frames that the largest running rung left out because it was behind."""
        return next((e.counters.dropped for e in self.video if not e.resting), 0)

    def rungs(self) -> list[RungState]:
        """State of all renditions."""
        video = [
            RungState(e.rung.track, not e.resting, "BEHIND" if e.resting else "")
            for e in self.video
        ]
        return [*video, RungState(self.ladder.audio.track, True)]

    def close(self, *, flush: bool) -> bool:
        """End the epoch; with `flush` short last parts are made and sent. Whether all arrived."""
        if not flush:
            for uploader in self._uploaders:
                uploader.abandon()
        for encoder in self.video:
            encoder.close(self._next_slot)
        self.audio.close()
        deadline = time.monotonic() + 5
        # Every one is closed, whatever the ones before it said.
        arrived = [u.close(max(0.1, deadline - time.monotonic())) for u in self._uploaders]
        return all(arrived)

    def _video(self, rung: Rung, stream: av.VideoStream) -> VideoEncoder:
        cuts = VideoCuts(self.ladder.frame_rate)
        start = video_start_ticks(self.grant.next_event_time_s)
        packager = self._packager(rung.track, stream, cuts, cuts.frame_ticks, start)
        return VideoEncoder(
            rung, cuts, stream, packager, on_failed=lambda error: self._on_lost("BROKEN")
        )

    def _audio(self, stream: av.AudioStream) -> AudioEncoder:
        start = audio_start_samples(self.grant.next_event_time_s)
        track = self.ladder.audio.track
        return AudioEncoder(
            stream, self._packager(track, stream, AudioCuts(), AAC_FRAME_SAMPLES, start)
        )

    def _packager(
        self,
        track: str,
        stream: av.VideoStream | av.AudioStream,
        cuts: VideoCuts | AudioCuts,
        frame_ticks: int,
        start_ticks: int,
    ) -> Packager:
        uploader = TrackUploader(track, self._target, self._bearer, self._events)
        self._uploaders.append(uploader)
        return Packager(
            track=track,
            template=stream,
            cuts=cuts,
            frame_ticks=frame_ticks,
            start_ticks=start_ticks,
            next_msn=self.grant.next_msn,
            on_init=uploader.init,
            on_part=uploader.part,
        )

    def _acknowledged(self, part: Part, seconds: float) -> None:
        self._ack_times.add(seconds)
