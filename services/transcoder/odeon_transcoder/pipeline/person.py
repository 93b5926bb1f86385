"""What the tracks of one participant share: their clock, and a lock around it."""

import threading
from dataclasses import dataclass

from odeon_transcoder.domain.timeline_clock import REPORT_AGE_S, ParticipantClock, ProgrammeClock
from odeon_transcoder.pipeline.media import EncodedFrame

_RESYNC_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a frame belongs on the programme's clock."""

    programme_s: float
    moves: int
    """Changes whenever the participant was moved as a whole; slot phases are void then."""


class Person:
    """Thread-safe owner of one participant's `ParticipantClock`."""

    def __init__(self, programme: ProgrammeClock) -> None:
        self._programme = programme
        self._clock = ParticipantClock()
        self._lock = threading.Lock()
        self._reports: dict[str, tuple[int, int]] = {}
        self._resynced_s = 0.0
        self._moves = 0

    def place(self, track: str, frame: EncodedFrame, *, video: bool) -> Placement | None:
        """Place a frame; None while the programme has not begun, which a picture begins."""
        arrival_s = frame.received_ns / 1e9
        with self._lock:
            self._take_report(track, frame)
            if self._programme.zero_s is None and not (
                video and self._programme.start_if_armed(arrival_s)
            ):
                return None
            if arrival_s - self._resynced_s >= _RESYNC_EVERY_S:
                self._resynced_s = arrival_s
                self._clock.resync(arrival_s)
            at = self._clock.programme_time(
                track,
                frame.rtp_time,
                clock_rate=frame.clock_rate,
                video=video,
                position_s=self._programme.position(arrival_s),
                frame_rate=self._programme.frame_rate,
            )
            return Placement(at, self._moves + self._clock.breaks)

    def observe_slack(self, track: str, now_s: float, slack_s: float) -> None:
        """Tell how long before its deadline a frame was ready; the leading track's counts."""
        with self._lock:
            if track != self._clock.leader:
                return
            if self._clock.observe_slack(now_s, slack_s, self._programme) != 0.0:
                self._moves += 1

    def restart(self) -> None:
        """A new epoch begins: anchor everything anew."""
        with self._lock:
            self._moves += 1 + self._clock.breaks
            self._clock = ParticipantClock()
            self._reports.clear()

    def forget(self, track: str) -> None:
        """A track of this participant ended."""
        with self._lock:
            self._clock.forget(track)
            self._reports.pop(track, None)

    def _take_report(self, track: str, frame: EncodedFrame) -> None:
        ntp_us, rtp_time = frame.sr_ntp_us, frame.sr_rtp_time
        if ntp_us is None or rtp_time is None:
            return
        if abs(frame.rtp_time - rtp_time) > REPORT_AGE_S * frame.clock_rate:
            self._clock.void_report(track)
            self._reports.pop(track, None)
            return
        if self._reports.get(track) == (ntp_us, rtp_time):
            return
        self._reports[track] = (ntp_us, rtp_time)
        self._clock.report(track, frame.clock_rate, rtp_time, ntp_us / 1e6)
