"""The programme: slot after slot, picture and sound, from the floor to the outputs of an epoch."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import av

from odeon_transcoder.domain.cuts import AUDIO_RATE
from odeon_transcoder.domain.director import LayoutChoice, SpeakerHold, direct
from odeon_transcoder.domain.growth import Growth
from odeon_transcoder.domain.ladder import Ladder, Profile, Size, TrackSpec, fit, written_by
from odeon_transcoder.domain.layers import wanted_layer
from odeon_transcoder.domain.layout import Box, arrange
from odeon_transcoder.domain.timeline_clock import ProgrammeClock
from odeon_transcoder.pipeline.compose import Compositor
from odeon_transcoder.pipeline.encode import EncoderChoice
from odeon_transcoder.pipeline.floor import Floor
from odeon_transcoder.pipeline.media import Grant, NothingWritten, Readiness
from odeon_transcoder.pipeline.mix import mix
from odeon_transcoder.pipeline.outputs import AckTimes, Encoders, Ingest, Outputs, RungState
from odeon_transcoder.pipeline.upload import Bearer

_log = logging.getLogger(__name__)

_GUARD_EVERY_S = 0.25
_MEASURE_S = 1.2
"""How long a source is watched for its size and rate before the ladder is chosen."""
_LAYERS_S = 2.0
"""A simulcast source is watched until its size stood still for this long: browsers send the lowest
layer first."""
_VOICES_S = 3.0
"""An event that has voices waits no longer than this for a picture."""
_FIRST_PICTURE_S = 1.5
"""A granted epoch waits this long for its first picture, then it begins with the slate."""
_SILENT_DUE_S = 0.05
"""With nobody to wait for, a slot is made this long after its time."""
_HOPELESS_S = 0.5
"""A slot this far past its deadline is left out rather than composed."""


@dataclass(frozen=True, slots=True)
class ProgrammeConfig:
    """What a job fixes for its programme."""

    ingest: Ingest
    profile: Profile
    encoder: EncoderChoice = field(default_factory=EncoderChoice)
    patience_s: float = 0.4
    """How long a slot waits for late pictures and samples."""
    slate_after_s: float = 10.0
    """An event without any picture begins with the slate after this long."""


@dataclass(frozen=True, slots=True)
class ProgrammeEvents:
    """How the programme asks its surroundings."""

    acquire: Callable[[list[TrackSpec]], Grant | None]
    """Blocks until an epoch is granted; None to give up. Without tracks it goes on with those that
    a predecessor wrote, or raises NothingWritten."""
    unauthorised: Callable[[], None]
    ended: Callable[[str], None]
    """The programme is over: STOPPED, FENCED, ENDED, REFUSED or BROKEN."""
    want_layer: Callable[[str, str], None] = lambda track, layer: None
    """Another simulcast layer of a track would fit its box better."""


@dataclass(frozen=True, slots=True)
class ProgrammeStatus:
    """A snapshot for reports; counters grow over all epochs."""

    epoch: int
    rungs: tuple[RungState, ...]
    frames_received: int
    frames_absent: int
    frames_encoded: int
    frames_repeated: int
    frames_dropped: int
    parts_pending: int
    ack_p95_s: float | None
    slate: bool


@dataclass(slots=True)
class _Counters:
    encoded: int = 0
    repeated: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _EpochEnd:
    """Why the present epoch must stop, set from any thread."""

    reason: str = ""
    event: threading.Event = field(default_factory=threading.Event)

    def set(self, reason: str) -> None:
        """The first reason counts."""
        if not self.event.is_set():
            self.reason = reason
            self.event.set()


class Programme:
    """Runs epochs until it is stopped, fenced or the event has ended."""

    def __init__(
        self,
        config: ProgrammeConfig,
        floor: Floor,
        clock: ProgrammeClock,
        bearer: Bearer,
        events: ProgrammeEvents,
    ) -> None:
        self._config = config
        self._floor = floor
        self._clock = clock
        self._bearer = bearer
        self._events = events
        self._choice = LayoutChoice()
        self._hold = SpeakerHold()
        self._compositor = Compositor()
        self._ack_times = AckTimes()
        self._counters = _Counters()
        self._stop = threading.Event()
        self._end = _EpochEnd()
        self._outputs: Outputs | None = None
        self._slate = False
        self._guarded_s = 0.0
        self._layers: dict[str, str] = {}
        self._growth: Growth | None = None
        self._flush = True
        self._thread = threading.Thread(target=self._run, name="programme", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def set_layout(self, choice: LayoutChoice) -> None:
        """Compose differently from the next slot on; outputs go on."""
        self._choice = choice

    def stop(self, *, flush: bool = True, timeout_s: float = 10.0) -> None:
        """End the programme; with `flush` what was encoded is still sent."""
        self._flush = flush
        self._stop.set()
        self._end.set("STOPPED")
        self._thread.join(timeout=timeout_s)

    def status(self) -> ProgrammeStatus:
        """What is going on."""
        outputs = self._outputs
        return ProgrammeStatus(
            epoch=outputs.grant.epoch if outputs else 0,
            rungs=tuple(outputs.rungs()) if outputs else (),
            frames_received=self._floor.frames_received(),
            frames_absent=self._floor.frames_absent(),
            frames_encoded=self._counters.encoded + (outputs.frames_encoded if outputs else 0),
            frames_repeated=self._counters.repeated,
            frames_dropped=self._counters.dropped
            + (outputs.frames_skipped if outputs else 0)
            + self._floor.frames_dropped(),
            parts_pending=outputs.pending if outputs else 0,
            ack_p95_s=self._ack_times.p95(),
            slate=self._slate,
        )

    # Epochs

    def _run(self) -> None:
        reason = "BROKEN"
        try:
            ladder, grant, reason = self._take_over()
            while not (self._stop.is_set() or reason == "REFUSED"):
                ladder = ladder or self._choose_ladder()
                if ladder is None:
                    break
                reason = self._run_epoch(ladder, grant)
                grant = None
                if reason in ("FENCED", "ENDED", "REFUSED"):
                    break
                # A ladder that was outgrown is chosen anew, otherwise renditions stay the same.
                ladder = None if reason == "OUTGROWN" else ladder
            reason = "STOPPED" if self._stop.is_set() else reason
        except Exception:
            _log.exception("programme_failed")
            raise
        finally:
            self._events.ended(reason)

    def _take_over(self) -> tuple[Ladder | None, Grant | None, str]:
        """An epoch with a predecessor's ladder, if there was one; otherwise a reason to go on."""
        try:
            grant = self._events.acquire([])
        except NothingWritten:
            return None, None, "NOTHING_WRITTEN"
        if grant is None:
            return None, None, "REFUSED"
        ladder = written_by(grant.tracks)
        if ladder is None:
            _log.warning("foreign_renditions tracks=%s", [spec.track for spec in grant.tracks])
            return None, None, "FOREIGN"
        return ladder, grant, "GRANTED"

    def _choose_ladder(self) -> Ladder | None:
        """Watch the floor until its best source is measured; None when stopped before."""
        begun = time.monotonic()
        first: float | None = None
        seen: Size | None = None
        while not self._stop.is_set():
            now = time.monotonic()
            size, rate = self._best_source()
            if size is not None:
                first = now if first is None or size != seen else first
                seen = size
                if self._floor.arriving_layers() and now - first < _LAYERS_S:
                    rate = None
                elif rate is None and now - first >= _MEASURE_S:
                    # Few pictures came: rather too slow, which is mended later, than too fast.
                    size, rate = self._best_source(of_steps=1)
                    return fit(self._config.profile, size, rate)
                if rate is not None:
                    return fit(self._config.profile, size, rate)
            elif now - begun >= self._patience_with_nobody():
                return fit(self._config.profile, None, None)
            with self._floor.changed:
                self._floor.changed.wait(0.1)
        return None

    def _patience_with_nobody(self) -> float:
        voices = bool(self._floor.audio_tracks())
        return min(_VOICES_S, self._config.slate_after_s) if voices else self._config.slate_after_s

    def _best_source(self, *, of_steps: int = 5) -> tuple[Size | None, float | None]:
        best: tuple[Size | None, float | None] = (None, None)
        for video in self._floor.video_tracks():
            if video.size is not None and (best[0] is None or video.size.height > best[0].height):
                best = (video.size, video.rate(of_steps=of_steps))
        return best

    def _run_epoch(self, ladder: Ladder, taken: Grant | None) -> str:
        encoders = Encoders(ladder, self._config.encoder)
        self._growth = Growth(ladder, kept=taken is not None)
        grant = taken or self._events.acquire(encoders.specs())
        if grant is None:
            return "STOPPED" if self._stop.is_set() else "REFUSED"
        self._end = end = _EpochEnd()
        if self._stop.is_set():
            end.set("STOPPED")
        outputs = Outputs(
            encoders,
            grant,
            self._config.ingest,
            self._bearer,
            on_lost=end.set,
            on_unauthorised=self._events.unauthorised,
            ack_times=self._ack_times,
        )
        _log.info("epoch_begins epoch=%d tracks=%s", grant.epoch, [r.track for r in ladder.rungs])
        self._begin(ladder)
        self._outputs = outputs
        audio = threading.Thread(
            target=self._run_audio, args=(outputs, end), name="audio", daemon=True
        )
        audio.start()
        self._run_video(outputs, end)
        audio.join(timeout=2)
        clean = end.reason in ("STOPPED", "OUTGROWN") and self._flush
        outputs.close(flush=clean)
        self._counters.encoded += outputs.frames_encoded
        self._counters.dropped += outputs.frames_skipped
        self._outputs = None
        _log.info("epoch_ends epoch=%d reason=%s", grant.epoch, end.reason)
        return end.reason

    def _begin(self, ladder: Ladder) -> None:
        """Arm the clock and wait for the picture that starts it, or start with the slate."""
        self._clock.zero_s, self._clock.armed = None, False
        self._clock.frame_rate = ladder.frame_rate
        self._floor.restart()
        self._clock.arm(ladder.frame_rate)
        deadline = time.monotonic() + _FIRST_PICTURE_S
        with self._floor.changed:
            while self._clock.zero_s is None and not self._end.event.is_set():
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._floor.changed.wait(min(left, 0.1))
        self._clock.start_if_armed(time.monotonic())

    # Pictures

    def _run_video(self, outputs: Outputs, end: _EpochEnd) -> None:
        slot = 0
        while not end.event.is_set():
            boxes = self._arrange(outputs.canvas)
            if not self._wait_for_slot(slot, boxes, end):
                return
            now = time.monotonic()
            late = now - self._clock.deadline(self._clock.slot_time(slot))
            frame: av.VideoFrame | None
            frame, capture_s = self._picture(slot, boxes, outputs.canvas, now)
            if late > _HOPELESS_S and slot % outputs.ladder.frames_per_part:
                frame = None
                self._counters.dropped += 1
            due = (self._clock.zero_s or now) + self._clock.slot_time(slot)
            outputs.push_picture(slot, frame, capture_s, due)
            self._look_after(outputs, end, now, boxes)
            slot += 1

    def _arrange(self, canvas: Size) -> tuple[Box, ...]:
        now = time.monotonic()
        seats = self._floor.seats(now)
        choice = self._choice
        speaker = self._hold.observe(now, self._floor.loudest)
        main, others = direct(choice, seats, speaker)
        return arrange(choice.kind, main, others, canvas, labels=choice.labels)

    def _wait_for_slot(self, slot: int, boxes: tuple[Box, ...], end: _EpochEnd) -> bool:
        """Wait until the slot's pictures are there or hopeless; False when the epoch ends."""
        nominal = (self._clock.zero_s or 0.0) + self._clock.slot_time(slot)
        deadline = self._clock.deadline(self._clock.slot_time(slot))
        with self._floor.changed:
            while not end.event.is_set():
                now = time.monotonic()
                tracks = [self._floor.shown_video(box.seat.key, now) for box in boxes]
                states = [track.readiness(slot) for track in tracks if track is not None]
                if Readiness.OWES in states:
                    due = deadline
                elif Readiness.READY in states:
                    return True
                elif Readiness.IDLE in states:
                    due = nominal
                else:
                    due = deadline if states else nominal + _SILENT_DUE_S
                if now >= due:
                    return True
                self._floor.changed.wait(min(due - now, 0.1))
        return False

    def _picture(
        self, slot: int, boxes: tuple[Box, ...], canvas: Size, now: float
    ) -> tuple[av.VideoFrame, float | None]:
        """Compose a slot; captured when its main picture was, None when that is repeated.

        What is drawn here, a slate or a name, is captured when it is due.
        """
        pictures: dict[str, av.VideoFrame] = {}
        due_s = (self._clock.zero_s or now) + self._clock.slot_time(slot)
        capture_s: float | None = time.time() - time.monotonic() + due_s
        shown = {box.seat.key: index for index, box in enumerate(boxes)}
        for video in self._floor.video_tracks():
            picture, owed = video.take(slot)
            place = shown.get(video.track_id)
            if place is None or picture is None:
                continue
            if self._floor.shown_video(video.track_id, now) is None:
                continue
            pictures[video.track_id] = picture.frame
            if place == 0:
                capture_s = picture.capture_s if picture.slot == slot else None
                self._counters.repeated += owed
        self._slate = not boxes
        if not boxes:
            return self._compositor.slate(canvas), capture_s
        return self._compositor.compose(canvas, boxes, pictures), capture_s

    def _look_after(
        self, outputs: Outputs, end: _EpochEnd, now: float, boxes: tuple[Box, ...]
    ) -> None:
        if now - self._guarded_s < _GUARD_EVERY_S:
            return
        self._guarded_s = now
        if outputs.guard(now):
            _log.warning("rungs_changed %s", [(r.track, r.running) for r in outputs.rungs()])
        size, rate = self._best_source()
        known = size is not None and rate is not None
        better = fit(self._config.profile, size, rate) if known else None
        if self._growth is not None and self._growth.observe(now, better):
            end.set("OUTGROWN")
        self._ask_for_layers(outputs.ladder, boxes)

    def _ask_for_layers(self, ladder: Ladder, boxes: tuple[Box, ...]) -> None:
        """Ask for what each box needs; a track that is not shown needs its lowest layer."""
        heights = {box.seat.key: box.height for box in boxes}
        full = max(self._config.profile.rungs[0].size.height, ladder.canvas.height)
        for info in self._floor.layered_tracks():
            current = self._layers.get(info.track_id)
            wanted = wanted_layer(info.layers, heights.get(info.track_id, 0), full, current)
            if wanted is not None and wanted != current:
                self._layers[info.track_id] = wanted
                self._events.want_layer(info.track_id, wanted)

    # Sound

    def _run_audio(self, outputs: Outputs, end: _EpochEnd) -> None:
        encoder = outputs.audio
        while not end.event.is_set():
            first, last = encoder.next_samples
            if not self._wait_for_samples(last, end):
                return
            tracks = self._floor.audio_tracks()
            voices = [track.read(first, last - first) for track in tracks]
            try:
                encoder.push(mix(voices, last - first), outputs.origin_s)
            except (av.FFmpegError, AssertionError):
                _log.exception("audio_encoder_failed")
                end.set("BROKEN")

    def _wait_for_samples(self, end_sample: int, end: _EpochEnd) -> bool:
        """Wait until all voices reach `end_sample` or are hopeless; False when the epoch ends."""
        time_s = end_sample / AUDIO_RATE
        nominal = (self._clock.zero_s or 0.0) + time_s
        with self._floor.changed:
            while not end.event.is_set():
                now = time.monotonic()
                tracks = self._floor.audio_tracks()
                states = [track.state(end_sample) for track in tracks]
                if Readiness.OWES in states:
                    due = self._clock.deadline(time_s)
                elif Readiness.READY in states:
                    return True
                else:
                    due = self._clock.deadline(time_s) if states else nominal + _SILENT_DUE_S
                if now >= due:
                    return True
                self._floor.changed.wait(min(due - now, 0.1))
        return False
