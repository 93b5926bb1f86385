"""A job among real neighbours, from the offer to the recording."""

import asyncio
import io
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from odeon.pools.v1 import pools_pb2
from odeon.room.v1 import room_pb2
from odeon.transcoder.v1 import transcoder_pb2
from odeon_runtime.pools import Drains
from odeon_testkit.testcard import beep_onsets, lip_sync_errors, read_luma
from odeon_testkit.wait import until
from odeon_transcoder.adapters.processes import probe
from odeon_transcoder.domain.ladder import SEGMENT_SECONDS

if TYPE_CHECKING:
    from .conftest import Deployment


async def test_an_offered_job_becomes_a_recording_in_sync_with_no_frame_missing(
    deployment: "Deployment",
) -> None:
    await deployment.start_transcoder()
    await deployment.publish(rate=15)
    await deployment.offer()

    await deployment.parts("v360", 24)
    job = await deployment.job(lambda job: job.HasField("capture_to_ack_p95"))

    assert [(rung.track, rung.running) for rung in job.rungs] == [
        ("v360", True), ("v240", True), ("a128", True),
    ]  # fmt: skip
    assert (job.job, job.event_key, job.epoch) == ("jobs/job-1", "acme/launch", 1)
    assert job.frames_received >= job.frames_encoded > 0
    video = await _segments(deployment, "v360", range(3))
    audio = await _segments(deployment, "a128", range(3))
    counters, flashes = _pictures(video)
    assert [b - a for a, b in pairwise(counters)] == [1] * 89
    errors = lip_sync_errors(flashes, _beeps(audio))
    assert len(errors) >= 4 and max(map(abs, errors)) < 0.06


async def test_program_dates_are_the_capture_times_of_what_is_shown(
    deployment: "Deployment",
) -> None:
    await deployment.start_transcoder()
    await deployment.publish(rate=15)
    await deployment.offer()

    await deployment.parts("v360", 18)

    for track in ("v360", "a128"):
        dates = _dates(await _playlist(deployment, track))[:3]
        for number, date_ms in enumerate(dates[:2]):
            data = await _segments(deployment, "v360", [number])
            assert abs(date_ms - _first_capture_ms(data)) < 60, (track, number)
        assert [b - a for a, b in pairwise(dates)] == pytest.approx([2000, 2000], abs=25)


async def test_a_killed_process_is_replaced_by_the_warm_spare_on_the_same_timeline(
    deployment: "Deployment",
) -> None:
    await deployment.start_transcoder()
    await deployment.publish(rate=15)
    await deployment.offer()
    await deployment.parts("v360", 7)
    first = await deployment.job(lambda job: job.process_id != 0)

    os.kill(first.process_id, signal.SIGKILL)

    second = await deployment.job(lambda job: job.epoch == 2)
    assert second.process_id not in (0, first.process_id)
    timeline = await deployment.timeline()
    parts = {track.spec.track: track.parts for track in timeline.tracks}
    await deployment.parts("v360", parts["v360"] + 7)
    # Renditions stay, media sequence numbers go on, the seam is marked in all of them.
    after = await deployment.timeline()
    assert {t.spec.track for t in after.tracks} == {"v360", "v240", "a128"}
    for track in ("v360", "v240", "a128"):
        playlist = (await deployment.get(f"{track}/index.m3u8")).decode()
        assert playlist.count("#EXT-X-DISCONTINUITY\n") == 1
        assert "init-1.mp4" in playlist and "init-2.mp4" in playlist
    assert deployment.room.outcomes == []


async def test_a_hanging_process_is_killed_and_replaced(deployment: "Deployment") -> None:
    await deployment.start_transcoder()
    await deployment.publish(rate=15)
    await deployment.offer()
    first = await deployment.job(lambda job: job.epoch == 1)

    os.kill(first.process_id, signal.SIGSTOP)

    second = await deployment.job(lambda job: job.epoch == 2)
    assert second.process_id != first.process_id
    with pytest.raises(ProcessLookupError):
        os.kill(first.process_id, 0)


async def test_the_layout_changes_while_the_job_runs(deployment: "Deployment") -> None:
    await deployment.start_transcoder()
    await deployment.publish("alice")
    await deployment.publish("bob")
    await deployment.offer()
    await deployment.parts("v240", 4)

    def grid(job: room_pb2.Job) -> None:
        job.layout.kind = room_pb2.Layout.KIND_GRID
        job.layout.name_labels = True

    await deployment.room.change(grid)

    before = (await deployment.timeline()).tracks[0].segments
    await deployment.parts("v240", 18)
    assert (await deployment.timeline()).epoch == 1
    counters, _ = _pictures(await _segments(deployment, "v240", [before + 1]))
    assert counters == [], "a grid of two shows no card in full size"


async def test_a_lost_seat_is_taken_again_and_the_timeline_goes_on(
    deployment: "Deployment",
) -> None:
    await deployment.start_transcoder()
    await deployment.publish()
    await deployment.offer()
    await deployment.parts("v360", 3)
    claims = deployment.room.claims

    await deployment.kick("recorder-job-1")

    before = (await deployment.timeline()).tracks[0]
    await deployment.parts("v360", before.parts + 9)
    assert deployment.room.claims > claims, "a fresh join token comes with a claim"
    assert (await deployment.timeline()).epoch == 1
    last = (await deployment.timeline()).tracks[0].segments - 1
    counters, _ = _pictures(await _segments(deployment, "v360", [last]))
    assert counters, "the card is back, not the slate"


async def test_losing_nats_stops_no_running_job(deployment: "Deployment") -> None:
    await deployment.start_transcoder()
    await deployment.publish()
    await deployment.offer()
    await deployment.parts("v360", 3)

    await asyncio.to_thread(deployment.nats.stop)

    await deployment.parts("v360", 12)
    assert (await deployment.timeline()).epoch == 1
    assert deployment.room.outcomes == []


async def test_the_end_of_the_event_delivers_the_last_part_and_finishes_the_job(
    deployment: "Deployment",
) -> None:
    await deployment.start_transcoder()
    await deployment.publish()
    await deployment.offer()
    await deployment.parts("v360", 4)

    def cancel(job: room_pb2.Job) -> None:
        job.state = room_pb2.Job.STATE_CANCELLED

    async def _finished() -> bool:
        return bool(deployment.room.outcomes)

    await deployment.room.change(cancel)

    await until(_finished, timeout_s=20)
    (outcome,) = deployment.room.outcomes
    assert outcome.outcome == room_pb2.FinishJobRequest.OUTCOME_DONE
    ended = await deployment.end_timeline()
    lengths = {t.spec.track: t.duration.ToSeconds() for t in ended.tracks}
    assert min(lengths.values()) >= 1 and len(lengths) == 3
    playlist = (await deployment.get("v360/index.m3u8")).decode()
    assert playlist.rstrip().endswith("#EXT-X-ENDLIST")
    assert not (await deployment.status()).jobs


async def test_stopping_a_transcoder_hands_its_job_to_another_one(deployment: "Deployment") -> None:
    first = await deployment.start_transcoder()
    await deployment.publish()
    await deployment.offer()
    await deployment.parts("v360", 4)

    await first.aclose()
    (outcome,) = deployment.room.outcomes
    assert outcome.outcome == room_pb2.FinishJobRequest.OUTCOME_RELEASED
    await deployment.start_transcoder(worker="tr-2")
    await deployment.offer()

    job = await deployment.job(lambda job: job.epoch == 2)
    assert job.job == "jobs/job-1" and deployment.room.job.worker == "tr-2"


async def test_a_transcoder_whose_node_goes_away_hands_its_job_to_a_warm_one(
    deployment: "Deployment",
) -> None:
    pod = {"pool": "cpu", "pod_name": "tr-1", "pod_uid": "uid-1"}
    await deployment.start_transcoder(**pod)
    await deployment.publish(rate=15)
    await deployment.offer()
    await deployment.parts("v360", 7)
    drains, asked = Drains(deployment.bus), Timestamp(seconds=1_800_000_000)
    await drains.ask("uid-1", pools_pb2.DrainRecord(ask_time=asked))
    await deployment.start_transcoder(worker="tr-2")
    await deployment.parts("v360", 10)
    assert deployment.room.outcomes == []

    await drains.ask("uid-1", pools_pb2.DrainRecord(ask_time=asked, hand_over=True))

    async def given_back() -> bool:
        return bool(deployment.room.outcomes)

    await until(given_back)
    await deployment.offer()

    await deployment.job(lambda job: job.epoch == 2)
    assert deployment.room.job.worker == "tr-2"
    written = {track.spec.track: track.parts for track in (await deployment.timeline()).tracks}
    await deployment.parts("v360", written["v360"] + 4)
    playlist = await _playlist(deployment, "v360")
    assert playlist.count("#EXT-X-DISCONTINUITY\n") == 1
    # Of what was shown to the camera less than a segment is missing.
    shown = [date / 1000 for date in _dates(playlist)]
    lengths = [float(x) for x in re.findall(r"#EXTINF:([0-9.]+)", playlist)]
    missing = [b - (a + length) for (a, b), length in zip(pairwise(shown), lengths, strict=False)]
    assert max(missing) <= SEGMENT_SECONDS


async def test_another_worker_that_would_choose_another_ladder_keeps_the_renditions(
    deployment: "Deployment",
) -> None:
    def to_light(job: room_pb2.Job) -> None:
        job.profile = "light"

    def to_another(job: room_pb2.Job) -> None:
        job.state, job.worker, job.profile = room_pb2.Job.STATE_OFFERED, "", "single"

    await deployment.room.change(to_light)
    await deployment.start_transcoder()
    await deployment.publish(rate=30)
    await deployment.offer()
    await deployment.parts("v360", 7)
    before, master = await deployment.timeline(), await deployment.get("main.m3u8")
    numbers = {track: _numbers(await _playlist(deployment, track)) for track in _TRACKS}

    # The claim has lapsed while nobody gave the timeline back. The first one wants no work more.
    await deployment.drain()
    await deployment.room.change(to_another)
    await deployment.start_transcoder(worker="tr-2", preset="veryfast")
    await deployment.offer()

    job = await deployment.job(lambda job: job.epoch == 2)
    assert deployment.room.job.worker == "tr-2"
    assert [rung.track for rung in job.rungs] == ["v360", "v240", "a128"]
    # Longer than a source has to be larger for a ladder to grow.
    written = {track.spec.track: track.parts for track in (await deployment.timeline()).tracks}
    await deployment.parts("v360", written["v360"] + 21)
    after = await deployment.timeline()
    assert after.epoch == 2
    assert [track.spec for track in after.tracks] == [track.spec for track in before.tracks]
    assert await deployment.get("main.m3u8") == master
    for track in _TRACKS:
        playlist = await _playlist(deployment, track)
        assert playlist.count("#EXT-X-DISCONTINUITY\n") == 1
        now = _numbers(playlist)
        assert now == [*range(len(now))] and now[: len(numbers[track])] == numbers[track]
        assert "init-1.mp4" in playlist and "init-2.mp4" in playlist


async def test_a_restarted_transcoder_resumes_its_own_job_without_an_offer(
    deployment: "Deployment",
) -> None:
    first = await deployment.start_transcoder()
    await deployment.publish()
    await deployment.offer()
    job = await deployment.job(lambda job: job.epoch == 1)

    # As after kill -9: nothing is given back, the file that names the job stays.
    memory = deployment.settings().data_dir / "transcoder" / "tr-1.json"
    kept = memory.read_text()
    deployment.room.job.state = room_pb2.Job.STATE_CLAIMED
    await first.aclose()
    memory.write_text(kept)
    deployment.room.job.state, deployment.room.job.worker = room_pb2.Job.STATE_CLAIMED, "tr-1"
    await deployment.start_transcoder()

    resumed = await deployment.job(lambda job: job.epoch == 2)
    assert resumed.process_id != job.process_id


async def test_a_draining_transcoder_keeps_its_job_and_takes_no_other(
    deployment: "Deployment",
) -> None:
    await deployment.start_transcoder()
    await deployment.publish()
    await deployment.offer()
    await deployment.parts("v360", 2)

    await deployment.drain()

    status = await deployment.status()
    assert status.draining and status.slots_used == 1 and status.warm_spare
    await deployment.parts("v360", 6)


async def test_a_job_process_gets_no_secret_of_the_deployment(
    deployment: "Deployment", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODEON_SERVICE_SECRET", "do-not-pass-on")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-pass-on")
    await deployment.start_transcoder()
    await deployment.publish()
    await deployment.offer()
    job = await deployment.job(lambda job: job.process_id != 0)

    proc = Path(f"/proc/{job.process_id}")
    assert b"do-not-pass-on" not in (proc / "environ").read_bytes()
    rows = {line.split("  ")[0]: line for line in (proc / "limits").read_text().splitlines()}
    assert " 0 " in rows["Max file size"] and " 0 " in rows["Max core file size"]
    assert "NoNewPrivs:\t1\n" in (proc / "status").read_text()


async def test_a_worker_that_probes_says_in_its_status_what_it_works_with(
    deployment: "Deployment",
) -> None:
    found = await probe()

    await deployment.start_transcoder(probe=True)
    await deployment.publish()
    await deployment.offer()
    await deployment.job(lambda job: job.epoch == 1)

    encoder = (await deployment.status()).encoder
    assert transcoder_pb2.EncoderCapability.Path.Name(encoder.path) == f"PATH_{found.path}"
    assert (encoder.device, encoder.detail) == (found.device, found.detail)
    assert found.detail not in ("", "not probed")


async def test_a_starved_encoder_gives_up_its_top_rung_and_the_others_go_on(
    deployment: "Deployment",
) -> None:
    await deployment.start_transcoder(preset="slower")
    await deployment.publish()
    await deployment.offer()
    await deployment.parts("v240", 4)
    job = await deployment.job(lambda job: job.epoch == 1)

    with _share_of_cpu(job.process_id, 0.08):
        behind = await deployment.job(
            lambda job: any(r.track == "v360" and not r.running for r in job.rungs), within_s=8
        )
        reasons = {rung.track: rung.reason for rung in behind.rungs}
        assert reasons == {"v360": "BEHIND", "v240": "", "a128": ""}
        before = {t.spec.track: t.parts for t in (await deployment.timeline()).tracks}
        await deployment.parts("v240", before["v240"] + 3)
    assert (await deployment.timeline()).epoch == 1


@contextmanager
def _share_of_cpu(pid: int, share: float) -> Iterator[None]:
    """Let a process run only this share of the time, as a CPU quota would."""
    over = threading.Event()

    def throttle() -> None:
        while not over.is_set():
            os.kill(pid, signal.SIGSTOP)
            over.wait(0.1 * (1 - share))
            os.kill(pid, signal.SIGCONT)
            over.wait(0.1 * share)

    thread = threading.Thread(target=throttle, name="throttle")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


_TRACKS = ("v360", "v240", "a128")


async def _playlist(deployment: "Deployment", track: str) -> str:
    return (await deployment.get(f"{track}/index.m3u8")).decode()


def _numbers(playlist: str) -> list[int]:
    """Media sequence numbers of the closed segments, by their addresses."""
    return [int(n) for n in re.findall(r"^s(\d+)\.m4s$", playlist, re.MULTILINE)]


def _dates(playlist: str) -> list[float]:
    """Program dates in unix milliseconds."""
    found = re.findall(r"PROGRAM-DATE-TIME:(.*)Z", playlist)
    return [datetime.fromisoformat(date + "+00:00").timestamp() * 1000 for date in found]


def _first_capture_ms(data: bytes) -> int:
    """The clock that the publisher drew into the first picture."""
    with av.open(io.BytesIO(data), "r") as container:
        card = read_luma(next(container.decode(video=0)).to_ndarray(format="gray").astype(np.uint8))
    assert card is not None
    return card.unix_ms


async def _segments(deployment: "Deployment", track: str, numbers: "range | list[int]") -> bytes:
    init = await deployment.get(f"{track}/init-1.mp4")
    return init + b"".join([await deployment.get(f"{track}/s{n}.m4s") for n in numbers])


def _pictures(data: bytes) -> tuple[list[int], list[float]]:
    """(frame counters, times of flashes) of what is readable."""
    counters, flashes, flashing = [], [], True
    with av.open(io.BytesIO(data), "r") as container:
        for frame in container.decode(video=0):
            card = read_luma(frame.to_ndarray(format="gray").astype(np.uint8))
            if card is None:
                continue
            counters.append(card.counter)
            if card.flash_seen and not flashing:
                flashes.append(frame.time or 0.0)
            flashing = card.flash_seen
    return counters, flashes


def _beeps(data: bytes) -> list[float]:
    with av.open(io.BytesIO(data), "r") as container:
        frames = list(container.decode(audio=0))
    samples = np.concatenate([frame.to_ndarray().mean(axis=0) for frame in frames])
    return [(frames[0].time or 0.0) + at for at in beep_onsets(samples, 48_000)]
