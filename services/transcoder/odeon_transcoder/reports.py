"""Load facts on NATS and metrics for Prometheus."""

import asyncio

from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope
from prometheus_client import Counter, Gauge

from odeon_transcoder.messages import Status
from odeon_transcoder.usecases.supervisor import Supervisor

_EVERY_S = 1.0

SLOTS = Gauge("odeon_transcoder_slots", "Slots of this transcoder", ["state"])
PARTS_PENDING = Gauge("odeon_transcoder_parts_pending", "Parts without acknowledgement")
CAPTURE_TO_ACK = Gauge(
    "odeon_transcoder_capture_to_ack_seconds", "95th percentile of the slowest job"
)
FRAMES = Counter(
    "odeon_transcoder_frames",
    "Video frames of all jobs: received; absent (left out by the source or lost on the way); "
    "encoded; repeated; dropped",
    ["state"],
)
_STATES = ("received", "absent", "encoded", "repeated", "dropped")
RUNGS_RESTING = Gauge("odeon_transcoder_rungs_resting", "Renditions stopped for want of CPU")
RESTARTS = Gauge("odeon_transcoder_process_restarts", "Takeovers of the running jobs")


async def report_load(bus: Bus, worker: str, supervisor: Supervisor) -> None:
    """Tell the load every second; for ever."""
    subject = subjects.load("transcoder.load.reported", worker.replace(".", "-"))
    while True:
        load = events_pb2.TranscoderLoadReported(
            worker=worker,
            slots_total=supervisor.slots,
            slots_used=supervisor.slots_used,
            draining=supervisor.draining,
        )
        bus.publish(subject, envelope("", transcoder_load_reported=load), durable=False)
        _measure(supervisor)
        await asyncio.sleep(_EVERY_S)


def count_frames(before: Status, now: Status) -> None:
    """Count what a job's process did between two of its reports."""
    for state in _STATES:
        done = getattr(now, f"frames_{state}") - getattr(before, f"frames_{state}")
        FRAMES.labels(state).inc(max(0, done))


def _measure(supervisor: Supervisor) -> None:
    states = [job.status for job in supervisor.jobs]
    SLOTS.labels("total").set(supervisor.slots)
    SLOTS.labels("used").set(supervisor.slots_used)
    PARTS_PENDING.set(sum(state.parts_pending for state in states))
    CAPTURE_TO_ACK.set(max((state.ack_p95_s or 0.0 for state in states), default=0.0))
    RUNGS_RESTING.set(sum(not rung.running for state in states for rung in state.rungs))
    RESTARTS.set(sum(job.restarts for job in supervisor.jobs))
