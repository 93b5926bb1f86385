"""From encoded frames to parts, in real time."""

import io
import random
import threading
import time
from dataclasses import replace
from itertools import accumulate, pairwise

import av
import pytest
from odeon_testkit.testcard.stream import CardFeed, CardFrame
from odeon_transcoder.domain.director import LayoutChoice
from odeon_transcoder.domain.ladder import Size, fit, profile_named
from odeon_transcoder.domain.layout import LayoutKind
from odeon_transcoder.pipeline.encode import EncoderChoice
from odeon_transcoder.pipeline.outputs import Encoders

from .conftest import MakeRig, Rig, camera, counters, microphone, stream


@pytest.mark.parametrize("codec", ["h264", "vp8", "vp9", "av1"])
def test_every_codec_of_the_stage_becomes_a_programme(make_rig: MakeRig, codec: str) -> None:
    rig = make_rig(CardFeed(stream(15, codec=codec)).preload(8))

    rig.parts("v360", 4)
    rig.stop()

    pictures = rig.shown("v360")
    numbers = counters(pictures)
    # Two lossy encoders in a row may leave a picture unreadable, but never out of place.
    assert len(numbers) >= len(pictures) - 2 >= 18
    places = [(p.card.counter, n) for n, p in enumerate(pictures) if p.card is not None]
    assert len({counter - place for counter, place in places}) == 1


@pytest.mark.parametrize("rate", [15, 30])
def test_no_frame_is_missing_or_repeated_though_the_network_jitters(
    make_rig: MakeRig, rate: int
) -> None:
    noise = random.Random(rate)
    rig = make_rig(CardFeed(stream(rate), delay_s=lambda frame: noise.random() * 0.08))

    rig.parts("v360", 12)
    status = rig.programme.status()
    rig.stop()

    pictures = rig.shown("v360")
    numbers = counters(pictures)
    assert len(numbers) == len(pictures)
    assert [b - a for a, b in pairwise(numbers)] == [1] * (len(numbers) - 1)
    assert {round(b.time_s - a.time_s, 4) for a, b in pairwise(pictures)} == {round(1 / rate, 4)}
    assert status.frames_repeated == 0 and status.frames_dropped == 0
    assert status.frames_absent == 0


def test_sound_and_picture_are_in_sync_at_the_viewer(make_rig: MakeRig) -> None:
    rig = make_rig(CardFeed(stream(15)))

    rig.parts("v360", 15)
    rig.stop()

    errors = rig.lip_sync_ms("v360")
    assert len(errors) >= 4
    assert max(map(abs, errors)) < 10


def test_a_skewed_source_fails_the_lip_sync_check_by_just_its_skew(make_rig: MakeRig) -> None:
    rig = make_rig(CardFeed(stream(15, skew_ms=80)))

    rig.parts("v360", 15)
    rig.stop()

    assert rig.lip_sync_ms("v360") == pytest.approx([80] * len(rig.lip_sync_ms("v360")), abs=10)


def test_sound_that_travels_longer_than_its_picture_is_still_in_sync(make_rig: MakeRig) -> None:
    feed = CardFeed(stream(15), delay_s=lambda frame: 0.12 if frame.kind == "audio" else 0.0)
    rig = make_rig(feed)

    rig.parts("v360", 15)
    rig.stop()

    assert max(map(abs, rig.lip_sync_ms("v360"))) < 10


def test_sound_without_sender_reports_is_placed_by_arrival_and_synced_once_they_come(
    make_rig: MakeRig,
) -> None:
    begun = time.time()

    def late_reports(frame: CardFrame) -> CardFrame:
        if time.time() - begun > 3:
            return frame
        return replace(frame, sr_ntp_us=None, sr_rtp_time=None, capture_time_us=None)

    feed = CardFeed(
        stream(15),
        fate=late_reports,
        delay_s=lambda frame: 0.1 if frame.kind == "audio" else 0.0,
    )
    rig = make_rig(feed)

    rig.parts("v360", 24)
    rig.stop()

    assert max(map(abs, rig.lip_sync_ms("v360")[-2:])) < 10


def test_a_loss_freezes_the_picture_until_a_keyframe_that_is_asked_for(make_rig: MakeRig) -> None:
    lost = threading.Event()

    def lose_one(frame: CardFrame) -> CardFrame | None:
        if frame.kind == "video" and frame.media_s >= 2.0 and not frame.keyframe:
            if not lost.is_set():
                lost.set()
                return None
            if frame.media_s < 2.0 + 2.5 / 15:
                return replace(frame, contiguous=False)
        return frame

    feed = CardFeed(stream(15, keyframe_every=10_000), fate=lose_one)
    rig = make_rig(feed)

    rig.parts("v360", 12)
    status = rig.programme.status()
    rig.stop()

    assert status.frames_absent == 1
    assert feed.keyframes_asked >= 1
    numbers = counters(rig.shown("v360"))
    assert numbers == sorted(numbers)
    assert numbers[-1] >= 4 * 15 - 10


def test_garbage_instead_of_a_picture_disturbs_nothing_else(make_rig: MakeRig) -> None:
    noise = random.Random(5)

    def spoil(frame: CardFrame) -> CardFrame:
        if frame.kind == "video" and 1.5 < frame.media_s < 2.0:
            return replace(frame, data=noise.randbytes(300))
        return frame

    rig = make_rig(CardFeed(stream(15, keyframe_every=15), fate=spoil))

    rig.parts("v360", 12)
    rig.stop()

    assert counters(rig.shown("v360"))[-1] > 45
    assert max(map(abs, rig.lip_sync_ms("v360"))) < 10


def test_the_slate_comes_when_the_last_publisher_goes_and_the_timeline_goes_on(
    make_rig: MakeRig,
) -> None:
    feed = CardFeed(stream(15))
    rig = make_rig(feed)
    rig.parts("v360", 6)

    rig.floor.set_tracks([])
    assert _until(lambda: rig.programme.status().slate)
    rig.parts("v360", 10)
    rig.floor.set_tracks([camera(), microphone()])
    assert _until(lambda: not rig.programme.status().slate)
    rig.parts("v360", 18)
    rig.stop()

    assert len(rig.grants) == 1
    pictures = rig.shown("v360")
    cards = [picture.card is not None for picture in pictures]
    assert cards[0] and cards[-1] and not all(cards)
    assert {round(b.time_s - a.time_s, 4) for a, b in pairwise(pictures)} == {0.0667}
    assert max(map(abs, rig.lip_sync_ms("v360")[-1:])) < 10


def test_an_event_without_a_publisher_begins_with_the_slate_and_grows_with_its_source(
    make_rig: MakeRig,
) -> None:
    feed = CardFeed(stream(15))
    rig = make_rig(feed, [], slate_after_s=0.2, profile="light")

    rig.parts("v480", 2)
    assert rig.programme.status().slate
    rig.floor.set_tracks([camera(), microphone()])

    assert _until(lambda: not rig.programme.status().slate)


def test_the_layout_changes_while_the_outputs_go_on(make_rig: MakeRig) -> None:
    alice, bob = stream(15), stream(15, video_track="cam2", audio_track="mic2")
    infos = [camera(), microphone(), camera("cam2", "bob"), microphone("mic2", "bob")]
    rig = make_rig(CardFeed(alice, bob), infos)
    rig.parts("v360", 4)

    for kind in (LayoutKind.GRID, LayoutKind.PICTURE_IN_PICTURE, LayoutKind.SINGLE):
        rig.programme.set_layout(LayoutChoice(kind, labels=kind is LayoutKind.GRID))
        rig.parts("v360", len(rig.intake.parts["v360"]) + 4)
    rig.stop()

    assert len(rig.grants) == 1
    pictures = rig.shown("v360")
    assert {round(b.time_s - a.time_s, 4) for a, b in pairwise(pictures)} == {0.0667}
    whole = [picture.card is not None for picture in pictures]
    assert whole[0] and whole[-1] and not all(whole)


def test_a_larger_source_gets_a_larger_ladder_in_a_new_epoch(make_rig: MakeRig) -> None:
    small = stream(15, size=(426, 240))
    large = stream(15, size=(640, 360), video_track="cam2", audio_track="mic2")
    rig = make_rig(CardFeed(small, large), [camera(), microphone()])
    rig.parts("v240", 3)

    rig.floor.set_tracks([camera("cam2", "bob"), microphone("mic2", "bob")])

    rig.parts("v360", 3)
    assert [spec.track for spec in rig.specs] == ["v360", "v240", "a128"]
    assert len(rig.grants) == 2
    assert rig.intake.parts["v240"][-1].msn >= rig.grants[1].next_msn


def test_every_part_tells_the_capture_time_of_what_it_shows(make_rig: MakeRig) -> None:
    rig = make_rig(CardFeed(stream(15)))

    rig.parts("v360", 12)
    rig.stop()

    burnt_in = next(p.card.unix_ms for p in rig.shown("v360") if p.card is not None)
    for track in ("v360", "v240", "a128"):
        # Sound may be complete before any picture has come.
        origins = told(rig, track)[1:]
        assert len(origins) >= 10, track
        assert origins == pytest.approx([burnt_in] * len(origins), abs=20), track


def test_a_source_that_falls_behind_is_told_by_its_capture_and_not_by_its_arrival(
    make_rig: MakeRig,
) -> None:
    feed = CardFeed(stream(15), delay_s=lambda frame: 1.5 if frame.media_s > 2 else 0.0)
    rig = make_rig(feed)

    rig.parts("v360", 30)
    rig.stop()

    pictures = [p for p in rig.shown("v360") if p.card is not None]
    last, part = pictures[-1], rig.intake.parts["v360"][-1]
    assert last.card is not None and part.capture_ms is not None
    behind_ms = (last.time_s - pictures[0].time_s) * 1000 - (
        last.card.unix_ms - pictures[0].card.unix_ms  # type: ignore[union-attr]
    )
    assert behind_ms > 500, "the programme has moved the source"
    assert part.capture_ms == pytest.approx(last.card.unix_ms + 1000 / 15, abs=20)


def test_a_sender_whose_clock_is_wrong_is_dated_by_ours(make_rig: MakeRig) -> None:
    def slow_clock(frame: CardFrame) -> CardFrame:
        captured = frame.capture_time_us
        return replace(frame, capture_time_us=captured - 20_000_000 if captured else None)

    rig = make_rig(CardFeed(stream(15), fate=slow_clock))

    rig.parts("v360", 6)
    rig.stop()

    burnt_in = next(p.card.unix_ms for p in rig.shown("v360") if p.card is not None)
    assert told(rig, "v360")[-1] == pytest.approx(burnt_in, abs=150)


def told(rig: Rig, track: str) -> list[float]:
    """By each part, in unix milliseconds: when the first moment of the epoch was captured."""
    ends = accumulate(part.duration_s * 1000 for part in rig.intake.parts[track])
    return [
        part.capture_ms - end
        for part, end in zip(rig.intake.parts[track], ends, strict=True)
        if part.capture_ms is not None
    ]


def test_a_successor_keeps_the_ladder_of_its_predecessor_though_it_would_choose_another(
    make_rig: MakeRig,
) -> None:
    written = fit(profile_named("light"), Size(426, 240), 15.0)
    choice = EncoderChoice(preset="ultrafast")
    told = Encoders(written, choice).specs()
    rig = make_rig(
        CardFeed(stream(30)),
        profile="default",
        written=told,
        encoder=EncoderChoice(preset="faster"),
    )

    rig.parts("v240", 18)
    rig.stop()

    assert rig.specs == told and len(rig.grants) == 1
    assert set(rig.intake.parts) == {"v240", "a128"}
    with av.open(io.BytesIO(rig.intake.file("v240")), "r") as container:
        stream_ = container.streams.video[0]
        assert stream_.average_rate == 15
        # Players were told baseline, so the other preset's features must not appear.
        assert told[0].codec.startswith("avc1.42")
        assert stream_.codec_context.profile in ("Baseline", "Constrained Baseline")


def test_rtp_time_that_jumps_by_an_hour_is_followed(make_rig: MakeRig) -> None:
    def jump(frame: CardFrame) -> CardFrame:
        if frame.media_s < 2.0:
            return frame
        hour = 3600 * frame.clock_rate
        report = (frame.sr_rtp_time or 0) + hour
        return replace(frame, rtp_time=frame.rtp_time + hour, sr_rtp_time=report)

    rig = make_rig(CardFeed(stream(15), fate=jump))

    rig.parts("v360", 18)
    status = rig.programme.status()
    rig.stop()

    assert status.frames_absent == 0
    pictures = rig.shown("v360")
    assert counters(pictures)[-1] > 60
    assert max(map(abs, rig.lip_sync_ms("v360")[-2:])) < 10


def test_voices_without_a_picture_are_heard_under_their_names(make_rig: MakeRig) -> None:
    feed = CardFeed(stream(15), fate=lambda frame: frame if frame.kind == "audio" else None)
    rig = make_rig(feed, [microphone()], profile="light", slate_after_s=1.0)

    rig.parts("v480", 3)

    assert not rig.programme.status().slate
    rig.parts("a128", 6)
    rig.stop()
    assert rig.beeps()


def _until(check: object, timeout_s: float = 15.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if check():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False
