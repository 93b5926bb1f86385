"""Entering an event: what the holder of a link or a key becomes, and what it gets."""

from dataclasses import dataclass

from odeon_runtime.principal import Principal

from odeon_room.domain.event_state import EventState
from odeon_room.domain.participants import STAGE_ROLES

_SHARED_LINK = "link-"
"""Subject of a link that many may hold; auth gives it to invites without an identity."""
_KEY_ROLES = {"operator": "host", "owner": "host"}


@dataclass(frozen=True, slots=True)
class Visit:
    """Who enters. Empty identity and session: fresh ones are to be made."""

    role: str
    identity: str
    session_id: str

    @property
    def runs_event(self) -> bool:
        """Whether the event's other links are theirs to hand out."""
        return self.role == "host"


def visit(caller: Principal) -> Visit:
    """What a caller is within the event that it enters.

    A personal link (or the access token of an earlier entry) keeps its identity and session: who
    reloads the page is the same person, and who was banned stays banned.
    """
    role = _KEY_ROLES.get(caller.role, caller.role)
    personal = caller.event is not None and not caller.subject.startswith(_SHARED_LINK)
    if not personal:
        return Visit(role, "", "")
    return Visit(role, caller.subject, caller.session_id)


def may_join_stage(role: str, state: EventState) -> bool:
    """Whether the visit gets a join token: stage roles, until the event has ended."""
    return role in STAGE_ROLES and state is not EventState.ENDED
