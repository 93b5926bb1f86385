"""Room's facts as NATS messages."""

from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import envelope

from odeon_room.domain.event_state import EventState
from odeon_room.domain.facts import EventMoved, Fact, JobMoved, ParticipantCame, ParticipantWent
from odeon_room.domain.jobs import JobState

_EVENT_VERBS = {
    EventState.SCHEDULED: "scheduled",
    EventState.WARMUP: "warmed-up",
    EventState.LIVE: "started",
    EventState.ENDED: "ended",
}
_JOB_VERBS = {
    JobState.OFFERED: "offered",
    JobState.CLAIMED: "claimed",
    JobState.DONE: "done",
    JobState.FAILED: "failed",
    JobState.CANCELLED: "cancelled",
}


def message(tenant: str, fact: Fact) -> tuple[str, events_pb2.Envelope]:
    """Subject and body of a fact."""
    match fact:
        case EventMoved():
            moved = events_pb2.EventStateChanged(
                event_id=fact.event, state=fact.state.value, title=fact.title
            )
            subject = f"room.event.{_EVENT_VERBS[fact.state]}"
            body = envelope(tenant, event_state_changed=moved)
        case ParticipantCame():
            came = events_pb2.ParticipantJoined(
                event_id=fact.event, identity=fact.identity, role=fact.role, node=fact.node
            )
            subject, body = "room.participant.joined", envelope(tenant, participant_joined=came)
        case ParticipantWent():
            went = events_pb2.ParticipantLeft(
                event_id=fact.event, identity=fact.identity, reason=fact.why
            )
            subject, body = "room.participant.left", envelope(tenant, participant_left=went)
        case JobMoved():
            job = events_pb2.JobStateChanged(
                job_id=fact.job, event_id=fact.event, state=fact.state.value, worker=fact.worker
            )
            subject = f"room.job.{_JOB_VERBS[fact.state]}"
            body = envelope(tenant, job_state_changed=job)
    about = fact.job if isinstance(fact, JobMoved) else fact.event
    return subjects.fact(subject, tenant, about), body
