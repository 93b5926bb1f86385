"""From RTP time to the programme's clock, and from there to slots of the output.

Three clocks meet here. A *track* counts RTP time. A *participant's* wall clock ties its tracks
together by sender reports (RFC 3550 section 6.4.1); it may be minutes off or step, so only the
difference between two of its tracks is ever used. The *programme's* clock is this machine's
monotonic one, zero at the first picture of the epoch. All times are seconds, and all are handed in.
"""

import math
from collections import deque
from dataclasses import dataclass, field

SYNC_TOLERANCE_S = 0.005
"""Sender reports jitter by this much; correcting less would only make noise."""
STEP_S = 0.25
"""A correction larger than this is a stepped wall clock until both tracks say the same."""
STEP_PATIENCE_S = 12.0
"""Reports come every 5 s at least (RFC 3550), so a step that lasts this long is real."""
JUMP_S = 4.0
"""No network delays a frame by this much: RTP time itself has jumped."""
REPORT_AGE_S = 120.0
"""A report this far from a frame in RTP time belongs to before a jump."""
LATE_WINDOW_S = 1.0
EARLY_WINDOW_S = 10.0
EARLY_SLACK_S = 0.35
"""A source that is never needed for this long beyond the patience waits in vain."""


@dataclass(slots=True)
class ProgrammeClock:
    """The programme's zero, its grid of slots and how long a slot waits for late pictures."""

    frame_rate: int
    patience_s: float
    zero_s: float | None = None
    """Monotonic time of event time zero of this epoch; None until the first picture."""
    armed: bool = False
    """Whether the next picture may begin the programme."""

    def arm(self, frame_rate: int) -> None:
        """Forget the last epoch; the next picture begins a new one."""
        self.frame_rate, self.zero_s, self.armed = frame_rate, None, True

    def start_if_armed(self, now_s: float) -> bool:
        """Make `now_s` the programme's zero, once; whether the programme runs now."""
        if self.armed:
            self.zero_s, self.armed = now_s, False
        return self.zero_s is not None

    def position(self, now_s: float) -> float:
        """Programme time at a monotonic time."""
        return 0.0 if self.zero_s is None else now_s - self.zero_s

    def slot_time(self, slot: int) -> float:
        """Programme time of a slot."""
        return slot / self.frame_rate

    def deadline(self, programme_s: float) -> float:
        """Monotonic time after which a moment of the programme waits for nobody."""
        return (self.zero_s or 0.0) + programme_s + self.patience_s


@dataclass(slots=True)
class TrackClock:
    """Maps a track's RTP time to programme time: `rtp_time / clock_rate + base_s`."""

    clock_rate: int
    base_s: float | None = None
    wall_s: float | None = None
    """Participant's wall clock at RTP time zero, by the last sender report."""
    in_sync: bool = False
    """Placed by sender reports, not by arrival."""

    def programme_time(self, rtp_time: int) -> float:
        """Programme time of an RTP time; the track must have been anchored."""
        assert self.base_s is not None
        return rtp_time / self.clock_rate + self.base_s

    def report(self, rtp_time: int, ntp_s: float) -> None:
        """Take a sender report's pair of times."""
        self.wall_s = ntp_s - rtp_time / self.clock_rate


@dataclass(slots=True)
class ParticipantClock:
    """Keeps the tracks of one participant in sync; a video track leads when there is one.

    The leading video is anchored so that its pictures fall exactly onto slots, and everything else
    follows by sender reports: so the grid costs no lip sync.
    """

    tracks: dict[str, TrackClock] = field(default_factory=dict)
    leader: str | None = None
    leader_is_video: bool = False
    breaks: int = 0
    """How often a track's RTP time jumped and it was anchored anew."""
    _step_since: dict[str, float] = field(default_factory=dict)
    _lateness: "SlackWindow" = field(default_factory=lambda: SlackWindow())

    def programme_time(
        self, track: str, rtp_time: int, *, clock_rate: int, video: bool, position_s: float,
        frame_rate: int,
    ) -> float:  # fmt: skip
        """Programme time of a frame; the first frame of a track anchors it.

        Args:
            track: Track id.
            rtp_time: Extended RTP time, which does not wrap.
            clock_rate: Ticks a second.
            video: Whether it is a picture.
            position_s: The programme's position when the frame arrived.
            frame_rate: Slots a second, the grid that a leading video is put on.
        """
        clock = self.tracks.get(track)
        if clock is None:
            clock = self.tracks[track] = TrackClock(clock_rate)
        if clock.base_s is not None:
            off_s = clock.programme_time(rtp_time) - position_s
            if abs(off_s) > JUMP_S:
                self._break(track, clock)
        if clock.base_s is None:
            self._anchor(track, clock, rtp_time, video, position_s, frame_rate)
        return clock.programme_time(rtp_time)

    def report(self, track: str, clock_rate: int, rtp_time: int, ntp_s: float) -> None:
        """Take a sender report of a track, before or after its first frame."""
        clock = self.tracks.setdefault(track, TrackClock(clock_rate))
        clock.report(rtp_time, ntp_s)

    def void_report(self, track: str) -> None:
        """The last report says nothing about the frames that come now."""
        if (clock := self.tracks.get(track)) is not None:
            clock.wall_s, clock.in_sync = None, False

    def resync(self, now_s: float) -> None:
        """Move followers to where the sender reports say they belong."""
        for track, clock in self.tracks.items():
            target = self._target(track, clock)
            if target is None or clock.base_s is None:
                continue
            error = target - clock.base_s
            if not clock.in_sync:
                clock.base_s, clock.in_sync = target, True
            elif abs(error) < SYNC_TOLERANCE_S:
                self._step_since.pop(track, None)
            elif abs(error) < STEP_S:
                clock.base_s = target
                self._step_since.pop(track, None)
            elif now_s - self._step_since.setdefault(track, now_s) >= STEP_PATIENCE_S:
                clock.base_s = target
                del self._step_since[track]

    def observe_slack(self, now_s: float, slack_s: float, clock: ProgrammeClock) -> float:
        """Take how long before its deadline a picture came; returns by how much all tracks moved.

        A source that is always late moves later, one that always waits moves earlier, by whole
        slots. This also absorbs the drift between two machines' clocks.
        """
        move = self._lateness.observe(now_s, slack_s, clock.patience_s)
        if move == 0.0:
            return 0.0
        slots = math.ceil(move * clock.frame_rate)
        moved = slots / clock.frame_rate
        for track in self.tracks.values():
            if track.base_s is not None:
                track.base_s += moved
        return moved

    def forget(self, track: str) -> None:
        """A track went away; another one may lead."""
        self.tracks.pop(track, None)
        self._step_since.pop(track, None)
        if self.leader == track:
            self.leader = None
            self.leader_is_video = False

    def _break(self, track: str, clock: TrackClock) -> None:
        """The sender's RTP time jumped: what was known of this track is void."""
        clock.base_s, clock.in_sync = None, False
        self.breaks += 1
        if self.leader == track:
            self.leader, self.leader_is_video = None, False
            for follower in self.tracks.values():
                follower.in_sync = False

    def _anchor(
        self, track: str, clock: TrackClock, rtp_time: int, video: bool, position_s: float,
        frame_rate: int,
    ) -> None:  # fmt: skip
        leads = self.leader is None or (video and not self.leader_is_video)
        target = None if leads else self._target(track, clock)
        if target is not None:
            clock.base_s, clock.in_sync = target, True
            return
        at = math.ceil(position_s * frame_rate - 1e-6) / frame_rate if video else position_s
        clock.base_s = at - rtp_time / clock.clock_rate
        if leads:
            self.leader, self.leader_is_video = track, video
            self._follow_new_leader()

    def _follow_new_leader(self) -> None:
        """Audio that came first joins the video that leads now."""
        for track, clock in self.tracks.items():
            target = self._target(track, clock)
            if target is not None and clock.base_s is not None:
                clock.base_s, clock.in_sync = target, True

    def _target(self, track: str, clock: TrackClock) -> float | None:
        """Where the leader and the sender reports put a follower; None when they say nothing."""
        leader = self.tracks.get(self.leader) if self.leader is not None else None
        if leader is None or track == self.leader:
            return None
        if leader.base_s is None or leader.wall_s is None or clock.wall_s is None:
            return None
        return leader.base_s - leader.wall_s + clock.wall_s


@dataclass(slots=True)
class SlackWindow:
    """Says when a source is always late or always needlessly early."""

    _samples: deque[tuple[float, float]] = field(default_factory=deque)

    def observe(self, now_s: float, slack_s: float, patience_s: float) -> float:
        """Seconds by which the source should move later (negative: earlier); mostly 0."""
        self._samples.append((now_s, slack_s))
        while now_s - self._samples[0][0] > EARLY_WINDOW_S:
            self._samples.popleft()
        recent = [slack for at, slack in self._samples if now_s - at <= LATE_WINDOW_S]
        span = now_s - self._samples[0][0]
        if span >= LATE_WINDOW_S * 0.9 and max(recent) < 0 and len(recent) >= 3:
            move = patience_s / 2 - max(recent)
        elif span >= EARLY_WINDOW_S * 0.9 and (
            least := min(slack for _, slack in self._samples)
        ) > (patience_s + EARLY_SLACK_S):
            move = patience_s - least
        else:
            return 0.0
        self._samples.clear()
        return move


@dataclass(slots=True)
class Slotter:
    """Gives every picture of a track the slot it belongs to, by its source time.

    Jitter of less than half a frame around the source's own cadence never skips or doubles a slot:
    the cadence's phase against the grid is tracked, and the track slips by one slot only when the
    phase has wandered by more than `SLIP`.
    """

    frame_rate: int
    _phase: float | None = None

    SLIP = 0.75
    _GAIN = 0.02

    def slot(self, programme_s: float) -> int:
        """The slot of a picture of this programme time."""
        ideal = programme_s * self.frame_rate
        if self._phase is None:
            self._phase = ideal - round(ideal)
        if self._phase > self.SLIP:
            self._phase -= 1
        elif self._phase < -self.SLIP:
            self._phase += 1
        slot = round(ideal - self._phase)
        self._phase += (ideal - slot - self._phase) * self._GAIN
        return slot

    def moved(self) -> None:
        """The track was re-anchored: the old phase says nothing any more."""
        self._phase = None
