"""A job process: waits as a warm spare, runs one job, exits.

Standard input brings commands, standard output takes reports (`odeon_transcoder.messages`),
standard error takes logs.
"""

import argparse
import logging
import os
import queue
import sys
import threading
from dataclasses import asdict, replace

from odeon_media import MediaError

from odeon_transcoder import messages
from odeon_transcoder.domain.director import LayoutChoice
from odeon_transcoder.domain.ladder import (
    PROFILES,
    AudioRung,
    Ladder,
    TrackKind,
    TrackSpec,
    profile_named,
)
from odeon_transcoder.domain.layout import LayoutKind
from odeon_transcoder.domain.timeline_clock import ProgrammeClock
from odeon_transcoder.pipeline import labels, limits
from odeon_transcoder.pipeline.encode import EncoderChoice
from odeon_transcoder.pipeline.floor import Floor
from odeon_transcoder.pipeline.media import Grant, NothingWritten, TrackInfo, TrackSource
from odeon_transcoder.pipeline.outputs import Encoders, Ingest
from odeon_transcoder.pipeline.programme import Programme, ProgrammeConfig, ProgrammeEvents
from odeon_transcoder.pipeline.session import Session
from odeon_transcoder.pipeline.upload import Bearer

_log = logging.getLogger("odeon_transcoder.job")
_STATUS_EVERY_S = 0.2


class Reporter:
    """Writes reports; lines of several threads never mix."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "wb", buffering=0)
        self._lock = threading.Lock()
        # Whatever prints by mistake must not look like a report.
        os.dup2(2, 1)

    def send(self, report: messages.Report) -> None:
        """Write one line; a parent that is gone ends the process."""
        line = messages.encode(report)
        try:
            with self._lock:
                while line:
                    line = line[self._out.write(line) or 0 :]
        except OSError:
            os._exit(1)


class Job:
    """One job's session, floor and programme, driven by commands."""

    def __init__(self, start: messages.Start, reporter: Reporter) -> None:
        self._start = start
        self._reporter = reporter
        self._answers: queue.Queue[
            messages.Granted | messages.NothingWritten | messages.Refused
        ] = queue.Queue()
        self._over = threading.Event()
        self._reason = "STOPPED"
        self._bearer = Bearer(start.token)
        clock = ProgrammeClock(30, start.patience_s)
        self._floor = Floor(clock, hardware=start.decode_device or None)
        self._session = Session(
            start.media_host, on_lost=lambda reason: reporter.send(messages.MediaLost(reason))
        )
        self._programme = Programme(
            _config(start),
            self._floor,
            clock,
            self._bearer,
            ProgrammeEvents(
                acquire=self._acquire,
                unauthorised=lambda: reporter.send(messages.WantToken()),
                ended=self._ended,
                want_layer=lambda track, layer: reporter.send(messages.WantLayer(track, layer)),
            ),
        )
        self._floor.connect(self._session)
        self._programme.start()
        threading.Thread(target=self._report, name="status", daemon=True).start()

    def take(self, command: messages.Command) -> None:
        """Do what the parent says."""
        match command:
            case messages.Join():
                self._session.join()
                self._floor.reconnected()
            case messages.Offer():
                self._accept(command)
            case messages.Tracks():
                self._floor.set_tracks(_track(track) for track in command.tracks)
            case messages.Speaker():
                self._floor.loudest = command.identity or None
            case messages.Layout():
                choice = LayoutChoice(LayoutKind(command.kind), command.focus, command.labels)
                self._programme.set_layout(choice)
            case messages.Granted() | messages.NothingWritten() | messages.Refused():
                self._answers.put(command)
            case messages.Token():
                self._bearer.token = command.token
            case messages.Finish():
                self._finish(flush=command.flush)
            case _:
                _log.warning("unexpected_command %s", type(command).__name__)

    def _finish(self, *, flush: bool) -> None:
        self._answers.put(messages.Refused("STOPPED"))
        # The main thread goes on reading: a fresh token may be needed to deliver what is left.
        threading.Thread(
            target=self._programme.stop, kwargs={"flush": flush}, name="stop", daemon=True
        ).start()

    def _accept(self, offer: messages.Offer) -> None:
        try:
            sdp = self._session.accept(offer.sdp)
        except MediaError as error:
            _log.exception("offer_refused reason=%s", error.reason)
            self._reporter.send(messages.MediaLost(error.reason))
            return
        self._reporter.send(messages.Answer(sdp, offer.revision))

    def _acquire(self, specs: list[TrackSpec]) -> Grant | None:
        while not self._answers.empty():
            if isinstance(self._answers.get_nowait(), messages.Refused):
                return None
        renditions = tuple(messages.Rendition(**asdict(spec)) for spec in specs)
        self._reporter.send(messages.Acquire(renditions))
        match self._answers.get():
            case messages.Granted() as granted:
                tracks = tuple(_spec(rendition) for rendition in granted.renditions)
                return Grant(granted.epoch, granted.next_msn, granted.next_event_time_s, tracks)
            case messages.NothingWritten():
                raise NothingWritten
            case _:
                return None

    def _ended(self, reason: str) -> None:
        self._reason = reason
        self._over.set()

    def _report(self) -> None:
        while not self._over.wait(_STATUS_EVERY_S):
            self._reporter.send(self._status())
        self._session.close()
        self._reporter.send(self._status())
        self._reporter.send(messages.Ended(self._reason))
        os._exit(0)

    def _status(self) -> messages.Status:
        now = self._programme.status()
        return messages.Status(
            epoch=now.epoch,
            rungs=tuple(messages.Rung(r.track, r.running, r.reason) for r in now.rungs),
            frames_received=now.frames_received,
            frames_absent=now.frames_absent,
            frames_encoded=now.frames_encoded,
            frames_repeated=now.frames_repeated,
            frames_dropped=now.frames_dropped,
            parts_pending=now.parts_pending,
            ack_p95_s=now.ack_p95_s,
            slate=now.slate,
            connected=self._session.connected,
        )


def _config(start: messages.Start) -> ProgrammeConfig:
    profile = profile_named(start.profile)
    if start.max_frame_rate:
        rate = min(profile.max_frame_rate, start.max_frame_rate)
        profile = replace(profile, max_frame_rate=rate)
    return ProgrammeConfig(
        ingest=Ingest(start.ingest_url, start.tenant, start.event),
        profile=profile,
        encoder=EncoderChoice(start.encoder, start.preset),
        patience_s=start.patience_s,
        slate_after_s=start.slate_after_s,
    )


def _spec(rendition: messages.Rendition) -> TrackSpec:
    kind: TrackKind = "audio" if rendition.kind == "audio" else "video"
    return TrackSpec(**{**asdict(rendition), "kind": kind})


def _track(track: messages.StageTrack) -> TrackInfo:
    return TrackInfo(
        track_id=track.track_id,
        identity=track.identity,
        name=track.name,
        kind="audio" if track.kind == "audio" else "video",
        source=TrackSource(track.source),
        codec=track.codec,
        muted=track.muted,
        mid=track.mid,
        layers=track.layers,
    )


def _warm_up() -> None:
    """Load what the first second of a job would otherwise wait for."""
    rung = PROFILES["default"].rungs[-1]
    Encoders(Ladder((rung,), AudioRung(), 15), EncoderChoice())
    labels.slate(426, 240)


def main() -> None:
    """Entry point of `python -m odeon_transcoder.pipeline`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gpu", action="store_true", help="allow what CUDA needs")
    parser.add_argument("--parent", type=int, required=True, help="process id of who starts this")
    arguments = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s %(message)s"
    )
    reporter = Reporter()
    limits.apply(gpu=arguments.gpu, parent=arguments.parent)
    _warm_up()
    reporter.send(messages.Hello(os.getpid()))
    job: Job | None = None
    for line in sys.stdin.buffer:
        command = messages.decode(line)
        if isinstance(command, messages.Start):
            job = Job(command, reporter)
        elif job is not None:
            job.take(command)  # type: ignore[arg-type]
    # The parent closed the pipe or died.
    os._exit(1)


if __name__ == "__main__":
    main()
