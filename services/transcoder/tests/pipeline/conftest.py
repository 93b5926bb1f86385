"""A programme under test: the card comes in as encoded frames, parts go out over real HTTP."""

import io
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from odeon_testkit.intake import Intake, intake_server
from odeon_testkit.testcard import Reading, TestCard, beep_onsets, lip_sync_errors, read_luma
from odeon_testkit.testcard.stream import CardFeed, CardStream
from odeon_transcoder.domain.ladder import TrackSpec, profile_named
from odeon_transcoder.domain.timeline_clock import ProgrammeClock
from odeon_transcoder.pipeline.encode import EncoderChoice
from odeon_transcoder.pipeline.floor import Floor
from odeon_transcoder.pipeline.media import Grant, NothingWritten, TrackInfo, TrackSource
from odeon_transcoder.pipeline.outputs import Ingest
from odeon_transcoder.pipeline.programme import Programme, ProgrammeConfig, ProgrammeEvents
from odeon_transcoder.pipeline.upload import Bearer

FAST = EncoderChoice(preset="ultrafast")


def camera(track: str = "cam", identity: str = "host", **given: object) -> TrackInfo:
    info = TrackInfo(track, identity, identity.title(), "video", TrackSource.CAMERA, "h264")
    return replace(info, **given)  # type: ignore[arg-type]


def microphone(track: str = "mic", identity: str = "host") -> TrackInfo:
    return TrackInfo(track, identity, identity.title(), "audio", TrackSource.MICROPHONE, "opus")


@dataclass
class Shown:
    """One decoded picture of a rendition."""

    time_s: float
    card: Reading | None
    luma: NDArray[np.uint8]


@dataclass
class Rig:
    """A programme and hands on everything around it."""

    intake: Intake
    clock: ProgrammeClock
    floor: Floor
    programme: Programme
    specs: list[TrackSpec] = field(default_factory=list)
    grants: list[Grant] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def shown(self, track: str) -> list[Shown]:
        """Every picture of a rendition, decoded."""
        return shown_in(self.intake.file(track))

    def lip_sync_ms(self, video: str, audio: str = "a128") -> list[float]:
        """Beep minus flash, both from decoded media."""
        pictures = [p for p in self.shown(video) if p.card is not None]
        flashes = [
            this.time_s
            for before, this in pairwise(pictures)
            if this.card and before.card and this.card.flash_seen and not before.card.flash_seen
        ]
        return [error * 1000 for error in lip_sync_errors(flashes, self.beeps(audio))]

    def beeps(self, audio: str = "a128") -> list[float]:
        """Times of beeps in the decoded sound."""
        with av.open(io.BytesIO(self.intake.file(audio)), "r") as container:
            frames = list(container.decode(audio=0))
        samples = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in frames])
        return [(frames[0].time or 0.0) + at for at in beep_onsets(samples, 48_000)]

    def parts(self, track: str, count: int, timeout_s: float = 30) -> None:
        """Wait for a track's parts."""
        self.intake.wait_for(lambda: len(self.intake.parts[track]) >= count, timeout_s)

    def stop(self) -> None:
        self.programme.stop()
        self.floor.close()


def shown_in(data: bytes) -> list[Shown]:
    """Pictures of a file."""
    out = []
    with av.open(io.BytesIO(data), "r") as container:
        for frame in container.decode(video=0):
            luma = frame.to_ndarray(format="gray").astype(np.uint8)
            out.append(Shown(frame.time or 0.0, read_luma(luma), luma))
    return out


MakeRig = Callable[..., Rig]


@pytest.fixture
def intake() -> Iterator[Intake]:
    with intake_server() as made:
        yield made


@pytest.fixture
def make_rig(intake: Intake) -> Iterator[MakeRig]:
    """Builds a programme; `infos` are on stage, `feed` plays, `written` is a predecessor's."""
    rigs: list[Rig] = []

    def make(
        feed: CardFeed,
        infos: Sequence[TrackInfo] = (camera(), microphone()),
        *,
        profile: str = "default",
        written: Sequence[TrackSpec] = (),
        patience_s: float = 0.5,
        slate_after_s: float = 10.0,
        encoder: EncoderChoice = FAST,
    ) -> Rig:
        clock = ProgrammeClock(30, patience_s)
        floor = Floor(clock)
        config = ProgrammeConfig(
            ingest=Ingest(intake.url, "acme", "launch"),
            profile=profile_named(profile),
            encoder=encoder,
            patience_s=patience_s,
            slate_after_s=slate_after_s,
        )
        rig: Rig

        def acquire(specs: list[TrackSpec]) -> Grant:
            if not (specs or written):
                raise NothingWritten
            rig.specs = specs or list(written)
            number = len(rig.grants) + 1
            ends = [sum(p.duration_s for p in parts) for parts in intake.parts.values()]
            msns = [part.msn for parts in intake.parts.values() for part in parts]
            grant = Grant(
                number, max(msns, default=-1) + 1, max(ends, default=0.0), tuple(rig.specs)
            )
            rig.grants.append(grant)
            return grant

        def ended(reason: str) -> None:
            rig.ended.append(reason)
            rig.over.set()

        events = ProgrammeEvents(acquire, lambda: None, ended)
        rig = Rig(intake, clock, floor, Programme(config, floor, clock, Bearer("t"), events))
        floor.set_tracks(infos)
        floor.connect(feed)
        rig.programme.start()
        rigs.append(rig)
        return rig

    yield make
    for rig in rigs:
        rig.stop()


def stream(
    rate: int = 15, *, size: tuple[int, int] = (640, 360), skew_ms: float = 0.0, **given: object
) -> CardStream:
    """A card that starts a moment from now."""
    card = TestCard(*size, rate, skew_ms=skew_ms)
    return CardStream(card, start_unix_s=time.time() + 0.3, **given)  # type: ignore[arg-type]


def counters(pictures: Sequence[Shown]) -> list[int]:
    """Frame counters read from pictures."""
    return [picture.card.counter for picture in pictures if picture.card is not None]
