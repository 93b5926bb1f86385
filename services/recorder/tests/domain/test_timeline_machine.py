"""Any order of owners, parts, repeats, stopped rungs and take-overs keeps every promise."""

import hashlib
import math
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from odeon_recorder.adapters import journal
from odeon_recorder.domain.directives import Directives, is_ready
from odeon_recorder.domain.playlist import MediaPlaylist
from odeon_recorder.domain.records import NS, Fact, Kind, TrackSpec
from odeon_recorder.domain.refusals import (
    OutOfOrder,
    PartConflict,
    SegmentClosed,
    TimelineEnded,
    TimelineFenced,
    TimelineHeld,
)
from odeon_recorder.domain.snapshot import restore, take
from odeon_recorder.domain.timeline import Offer, Timeline
from odeon_testkit.llhls import LiveChecker, check_presentation, errors

VIDEO_PART = 333_333_333
AUDIO_PART = 341_333_333


def spec(name: str, kind: Kind) -> TrackSpec:
    target = 334_000_000 if kind is Kind.VIDEO else 342_000_000
    return TrackSpec(name, kind, "avc1.64001f", 1_000_000, 640, 360, 30.0, target, 2)


SPECS = (spec("v480", Kind.VIDEO), spec("v240", Kind.VIDEO), spec("a128", Kind.AUDIO))
NAMES = [s.track for s in SPECS]


class TimelineMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.timeline = Timeline("acme", "launch")
        self.facts: list[Fact] = []
        self.playlists: dict[str, MediaPlaylist] = {}
        self.checkers: dict[str, LiveChecker] = {}
        self.clock_ms = 1_700_000_000_000
        self.acknowledged: dict[tuple[str, int, int], bytes] = {}
        self.settled: set[str] = set()

    def _apply(self, facts: tuple[Fact, ...]) -> None:
        for fact in facts:
            self.facts.append(fact)
            self.timeline.apply(fact)
        for fact in self.timeline.stragglers(lambda _: 9.0):
            self.facts.append(fact)
            self.timeline.apply(fact)

    def _offer(self, name: str, msn: int, part: int, **given: Any) -> Offer:
        track = self.timeline.tracks[name]
        last = part == 5
        duration = VIDEO_PART if track.spec.kind is Kind.VIDEO else AUDIO_PART
        if last and track.spec.kind is Kind.AUDIO:
            nth = msn - self.timeline.epochs[-1].first_msn
            frames = math.ceil(93.75 * (nth + 1)) - math.ceil(93.75 * nth) - 80
            duration = frames * 1024 * NS // 48_000
        label = f"{name}/{self.timeline.epoch}/{msn}/{part}".encode()
        fields = {
            "track": name,
            "epoch": self.timeline.epoch,
            "msn": msn,
            "part": part,
            "size": len(label),
            "digest": hashlib.sha256(label).digest(),
            "duration_ns": duration,
            "independent": part == 0,
            "last": last,
        }
        return Offer(**{**fields, **given})

    @precondition(lambda self: self.timeline.ended_ms is None)
    @rule(owner=st.sampled_from(["a", "b"]), rungs=st.integers(1, 3), late_ms=st.integers(0, 9000))
    def take_over(self, owner: str, rungs: int, late_ms: int) -> None:
        before = self.timeline.epoch
        self.clock_ms += late_ms
        specs = SPECS if not self.timeline.epochs else SPECS[-rungs:]
        grant = self.timeline.grant(owner, specs, silent_s=2.0, now_ms=self.clock_ms)
        self._apply((grant,))
        assert self.timeline.epoch == before + 1
        # Every rendition is closed at one place.
        assert {t.next_part for t in self.timeline.tracks.values()} == {(grant.next_msn, 0)}
        for s in specs:
            digest = hashlib.sha256(f"{s.track}{grant.epoch}".encode()).digest()
            self._apply(self.timeline.place_init(s.track, grant.epoch, size=9, digest=digest))

    @precondition(lambda self: self.timeline.epochs and self.timeline.ended_ms is None)
    @rule()
    def a_rival_is_refused_while_the_owner_lives(self) -> None:
        with pytest.raises(TimelineHeld):
            self.timeline.grant("rival", SPECS, silent_s=0.9, now_ms=self.clock_ms)

    @precondition(lambda self: self.timeline.epochs and self.timeline.ended_ms is None)
    @rule(names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=30))
    def parts_arrive(self, names: list[str]) -> None:
        for name in names:
            if name not in self.timeline.granted:
                continue
            self.clock_ms += 111
            offer = self._offer(name, *self.timeline.tracks[name].next_part)
            facts = self.timeline.place(offer, now_ms=self.clock_ms)
            assert facts
            self._apply(facts)
            self.acknowledged[(name, offer.msn, offer.part)] = offer.digest
            assert self.timeline.place(offer, now_ms=self.clock_ms) == ()

    @precondition(lambda self: self.timeline.epochs and self.timeline.ended_ms is None)
    @rule(name=st.sampled_from(NAMES), segments=st.integers(1, 4))
    def a_rung_runs_ahead(self, name: str, segments: int) -> None:
        for _ in range(segments):
            self.parts_arrive([name] * 6)

    @precondition(lambda self: self.acknowledged and self.timeline.ended_ms is None)
    @rule(data=st.data())
    def other_bytes_in_a_stored_place_are_refused(self, data: st.DataObject) -> None:
        name, msn, part = data.draw(st.sampled_from(sorted(self.acknowledged)))
        offer = self._offer(name, msn, part, digest=b"x" * 32)
        with pytest.raises(PartConflict):
            self.timeline.place(offer, now_ms=self.clock_ms)

    @precondition(lambda self: self.timeline.epoch > 1)
    @rule(name=st.sampled_from(NAMES))
    def an_old_epoch_is_refused(self, name: str) -> None:
        offer = self._offer(name, 0, 0, epoch=self.timeline.epoch - 1)
        with pytest.raises(TimelineFenced):
            self.timeline.place(offer, now_ms=self.clock_ms)

    @precondition(lambda self: self.timeline.epochs and self.timeline.ended_ms is None)
    @rule(name=st.sampled_from(NAMES), ahead=st.integers(1, 3))
    def a_hole_is_refused(self, name: str, ahead: int) -> None:
        if name not in self.timeline.granted:
            return
        msn, part = self.timeline.tracks[name].next_part
        with pytest.raises((OutOfOrder, SegmentClosed)):
            self.timeline.place(self._offer(name, msn, part + ahead), now_ms=self.clock_ms)

    @precondition(lambda self: self.timeline.epochs)
    @rule()
    def end(self) -> None:
        if self.timeline.end_ns < 30 * NS:
            return
        self._apply(self.timeline.end(0, now_ms=self.clock_ms))
        with pytest.raises(TimelineEnded):
            self.timeline.grant("b", SPECS, silent_s=9, now_ms=self.clock_ms)

    @invariant()
    def playlists_keep_the_rules(self) -> None:
        texts: dict[str, str] = {}
        for name, track in self.timeline.tracks.items():
            playlist = self.playlists.setdefault(name, MediaPlaylist(self.timeline, track))
            checker = self.checkers.setdefault(name, LiveChecker(name))
            full, delta = playlist.full(), playlist.delta()
            assert errors(checker.feed(200, full)) == []
            assert errors(checker.feed_pair(full, delta)) == []
            texts[name] = full
            if track.open:
                asked = Directives(*track.next_part)
                if self.timeline.ended_ms is None:
                    assert not is_ready(asked, track, part_target_ns=self.timeline.part_target_ns)
        assert errors(check_presentation(texts)) == []

    def teardown(self) -> None:
        for (name, msn, part), digest in self.acknowledged.items():
            stored = self.timeline.tracks[name].stored(msn, part)
            assert stored is not None and stored.digest == digest

        written = journal.encode(self.facts)
        replayed, restored = Timeline("acme", "launch"), restore(take(self.timeline))
        replayed.apply_all(fact for fact, _ in journal.decode(written))
        for name, track in self.timeline.tracks.items():
            full = self.playlists[name].full() if name in self.playlists else ""
            for other in (replayed, restored):
                assert MediaPlaylist(other, other.tracks[name]).full() == full
            assert track.next_part == replayed.tracks[name].next_part


TestTimelineMachine = TimelineMachine.TestCase
TestTimelineMachine.settings = settings(
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
