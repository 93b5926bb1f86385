"""What a machine can encode and decode with, and how that is told."""

import json
import sys
from dataclasses import asdict
from typing import Any

import pytest
from odeon.transcoder.v1 import transcoder_pb2
from odeon_runtime.principal import Principal, acting_as
from odeon_transcoder.adapters.processes import ask
from odeon_transcoder.api.grpc import TranscoderServicer
from odeon_transcoder.pipeline.probe import Capability, decide
from odeon_transcoder.usecases.spares import Spares
from odeon_transcoder.usecases.supervisor import Supervisor

NO_NVENC, NO_NVDEC = "no encode device", "no decode device"
FOUND = [
    # NVENC, NVDEC, path, encoder, decoder
    (None, None, "NVENC", "h264_nvenc", "cuda"),
    (None, NO_NVDEC, "NVENC", "h264_nvenc", None),
    (NO_NVENC, None, "NVDEC_CPU", "libx264", "cuda"),
    (NO_NVENC, NO_NVDEC, "CPU", "libx264", None),
]


@pytest.mark.parametrize(("nvenc", "nvdec", "path", "encoder", "decoder"), FOUND)
def test_what_works_decides_the_path_and_what_does_not_is_named(
    nvenc: str | None, nvdec: str | None, path: str, encoder: str, decoder: str | None
) -> None:
    found = decide(nvenc=nvenc, nvdec=nvdec)

    assert (found.path, found.video_encoder, found.decode_device) == (path, encoder, decoder)
    assert bool(found.device) == (path != "CPU")
    assert all(trouble in found.detail for trouble in (nvenc, nvdec) if trouble is not None)


@pytest.mark.parametrize(("nvenc", "nvdec"), [case[:2] for case in FOUND])
async def test_a_probe_is_believed_as_it_answers(nvenc: str | None, nvdec: str | None) -> None:
    found = decide(nvenc=nvenc, nvdec=nvdec)

    assert await ask(sys.executable, "-c", f"print({json.dumps(asdict(found))!r})") == found


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.abort()",
        "raise SystemExit(1)",
        "print('nonsense')",
        """print('{"path": "CPU", "unknown": 1}')""",
        "import time; print('{}', flush=True); time.sleep(600)",
    ],
)
async def test_a_probe_that_crashes_hangs_or_babbles_leaves_the_cpu(program: str) -> None:
    within_s = 0.5 if "sleep" in program else 15

    found = await ask(sys.executable, "-c", program, within_s=within_s)

    assert (found.path, found.video_encoder, found.decode_device) == ("CPU", "libx264", None)
    assert found.detail.startswith("the probe failed: ")


@pytest.mark.parametrize(("nvenc", "nvdec"), [case[:2] for case in FOUND])
async def test_the_status_says_what_was_found(nvenc: str | None, nvdec: str | None) -> None:
    found = decide(nvenc=nvenc, nvdec=nvdec)
    nothing: Any = None
    supervisor = Supervisor(slots=3, offers=nothing, memory=nothing, config=nothing, around=nothing)
    servicer = TranscoderServicer("w1", supervisor, Spares(nothing, 1), found)
    service = Principal(tenant=None, subject="svc:gateway", role="service", service="gateway")

    with acting_as(service):
        status = await servicer.GetStatus(transcoder_pb2.GetStatusRequest(), nothing)

    path = transcoder_pb2.EncoderCapability.Path.Name(status.encoder.path)
    assert path == f"PATH_{found.path}"
    assert (status.encoder.device, status.encoder.detail) == (found.device, found.detail)


def test_a_device_that_only_encodes_is_no_reason_to_decode_on_it() -> None:
    assert Capability("NVENC", "cuda:0", "", decodes=False).decode_device is None
