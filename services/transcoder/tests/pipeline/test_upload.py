"""Parts are kept until the recorder has them, whatever happens on the way."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from odeon_testkit.intake import Intake
from odeon_transcoder.pipeline.media import Part
from odeon_transcoder.pipeline.upload import Bearer, Target, TrackUploader, UploadEvents


@dataclass
class Uploads:
    """An uploader and what it told."""

    uploader: TrackUploader
    acknowledged: list[Part] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unauthorised: threading.Event = field(default_factory=threading.Event)


def _part(msn: int, part: int) -> Part:
    return Part(
        track="v360",
        msn=msn,
        part=part,
        data=f"part {msn}.{part}".encode(),
        duration_ns=333_333_333,
        independent=part == 0,
        last=part == 5,
        capture_s=time.time(),
        ends_s=1_700_000_000.0 + msn * 2 + (part + 1) / 3,
        ready_s=time.monotonic(),
    )


@pytest.fixture
def uploads(intake: Intake) -> Iterator[Uploads]:
    acknowledged: list[Part] = []
    lost: list[str] = []
    unauthorised = threading.Event()
    events = UploadEvents(
        lambda part, seconds: acknowledged.append(part), lost.append, unauthorised.set
    )
    uploader = TrackUploader(
        "v360", Target(intake.url, "acme", "launch", 3), Bearer("token"), events
    )
    yield Uploads(uploader, acknowledged, lost, unauthorised)
    uploader.abandon()


def _send(uploads: Uploads, count: int) -> None:
    uploads.uploader.init(b"init")
    for index in range(count):
        uploads.uploader.part(_part(index // 6, index % 6))


def test_parts_arrive_in_order_with_their_facts(uploads: Uploads, intake: Intake) -> None:
    _send(uploads, 8)

    assert uploads.uploader.close()
    kept = intake.parts["v360"]
    assert [(p.msn, p.part) for p in kept] == [(n // 6, n % 6) for n in range(8)]
    assert intake.inits["v360"] == b"init"
    assert kept[0].independent and not kept[1].independent and kept[5].last
    assert kept[0].duration_s == pytest.approx(1 / 3)
    assert [p.capture_ms for p in kept[:2]] == [1_700_000_000_333, 1_700_000_000_667]
    assert len(uploads.acknowledged) == 8


def test_cut_lines_and_server_errors_lose_and_double_nothing(
    uploads: Uploads, intake: Intake
) -> None:
    failures = iter(
        [(0, ""), (503, "SPOOL_FAILED"), (500, ""), (0, ""), (507, "DISK_FULL"), (0, "")]
    )
    every_other = iter(range(10_000))
    intake.fault = lambda path: next(failures, None) if next(every_other) % 2 else None

    _send(uploads, 12)

    intake.wait_for(lambda: len(intake.parts["v360"]) == 12)
    assert uploads.uploader.close()
    assert [(p.msn, p.part) for p in intake.parts["v360"]] == [(n // 6, n % 6) for n in range(12)]


def test_an_acknowledgement_that_got_lost_is_asked_for_again(
    uploads: Uploads, intake: Intake
) -> None:
    stored_first = iter([True])

    def store_then_cut(path: str) -> tuple[int, str] | None:
        if path.endswith("/0/0") and next(stored_first, False):
            data = _part(0, 0).data
            headers = {
                "content-digest": _digest(data),
                "odeon-duration": "0.333333333",
                "odeon-independent": "?1",
                "odeon-last": "?0",
            }
            intake.store(path, headers, data)
            return 0, ""
        return None

    intake.fault = store_then_cut
    _send(uploads, 3)

    assert uploads.uploader.close()
    assert [(p.msn, p.part) for p in intake.parts["v360"]] == [(0, 0), (0, 1), (0, 2)]
    assert len(uploads.acknowledged) == 3


def test_an_outage_is_caught_up_afterwards(uploads: Uploads, intake: Intake) -> None:
    until = time.monotonic() + 3
    intake.fault = lambda path: (0, "") if time.monotonic() < until else None

    _send(uploads, 20)
    assert uploads.uploader.pending > 0

    intake.wait_for(lambda: len(intake.parts["v360"]) == 20)
    assert uploads.lost == []


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((412, "TIMELINE_FENCED"), "FENCED"),
        ((412, "TIMELINE_ENDED"), "ENDED"),
        ((409, "PART_CONFLICT"), "BROKEN"),
        ((400, "DIGEST_MISMATCH"), "BROKEN"),
        ((404, "TRACK_UNKNOWN"), "BROKEN"),
    ],
)
def test_answers_that_end_the_epoch_are_told_once_and_stop_the_upload(
    uploads: Uploads, intake: Intake, answer: tuple[int, str], told: str
) -> None:
    intake.fault = lambda path: answer if "/1/" in path else None

    _send(uploads, 12)
    uploads.uploader.close()

    assert uploads.lost == [told]
    assert len(intake.parts["v360"]) == 6


def test_a_segment_that_was_given_up_is_skipped_and_the_next_one_goes_on(
    uploads: Uploads, intake: Intake
) -> None:
    intake.fault = lambda path: (409, "SEGMENT_CLOSED") if "/0/" in path else None

    _send(uploads, 12)

    assert uploads.uploader.close()
    assert [(p.msn, p.part) for p in intake.parts["v360"]] == [(1, n) for n in range(6)]
    assert uploads.lost == []


def test_a_refused_token_asks_for_a_better_one_and_loses_nothing(
    intake: Intake, uploads: Uploads
) -> None:
    intake.fault = lambda path: None if uploads.unauthorised.is_set() else (401, "TOKEN_EXPIRED")

    _send(uploads, 3)

    intake.wait_for(lambda: len(intake.parts["v360"]) == 3)


def test_a_buffer_that_would_grow_for_ever_ends_the_epoch(uploads: Uploads, intake: Intake) -> None:
    intake.fault = lambda path: (0, "")

    _send(uploads, 400)

    assert uploads.lost == ["BROKEN"]
    assert uploads.uploader.pending <= 200


def _digest(data: bytes) -> str:
    import base64
    import hashlib

    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"
