"""What the use cases need from outside."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol, TypeVar

from odeon_runtime.repeats import Repeats

from odeon_room.domain.event_state import EventState
from odeon_room.domain.events import Event
from odeon_room.domain.facts import Fact
from odeon_room.domain.followups import Followup
from odeon_room.domain.jobs import Job, JobState
from odeon_room.domain.participants import Participant
from odeon_room.domain.placement import Node
from odeon_room.domain.rooms import Room

T = TypeVar("T")
After = tuple[datetime, str] | None


@dataclass(frozen=True, slots=True)
class Placed:
    """An open event and its tenant."""

    tenant: str
    event: Event


@dataclass(frozen=True, slots=True)
class BookingChange:
    """A booking that may be another one by now."""

    sequence: int
    tenant: str
    event: str


class Transaction(Repeats, Protocol):
    """Reads and writes of one tenant; all happen, or none. Rows read to write are locked."""

    tenant: str

    async def room(self, room_id: str) -> Room | None:
        """A room."""
        ...

    async def rooms(self, *, limit: int, after: After) -> list[Room]:
        """Rooms, oldest first."""
        ...

    async def put_room(self, room: Room) -> None:
        """Store a new room."""
        ...

    async def delete_room(self, room_id: str) -> None:
        """Delete a room."""
        ...

    async def room_is_used(self, room_id: str) -> bool:
        """Whether an event of the room has not ended."""
        ...

    async def event(self, event_id: str) -> Event | None:
        """An event."""
        ...

    async def events(
        self, *, limit: int, after: After, states: Collection[EventState]
    ) -> list[Event]:
        """Events, oldest first; only in `states` unless it is empty."""
        ...

    async def put_event(self, event: Event) -> None:
        """Store a new or changed event."""
        ...

    async def participant(self, event_id: str, identity: str) -> Participant | None:
        """A participant."""
        ...

    async def participants(self, event_id: str, *, limit: int, after: After) -> list[Participant]:
        """Participants of an event, in order of joining."""
        ...

    async def put_participant(self, participant: Participant) -> None:
        """Store a new or changed participant."""
        ...

    async def count_on_stage(self, event_id: str, *, but: str) -> int:
        """Visible participants on stage, `but` not counted."""
        ...

    async def empty_stage(self, event_id: str, *, node: str = "") -> list[Participant]:
        """Let everybody leave (only those of `node`, if given); returns who was there."""
        ...

    async def job(self, job_id: str) -> Job | None:
        """A job."""
        ...

    async def jobs(self, *, limit: int, after: After, states: Collection[JobState]) -> list[Job]:
        """Jobs, oldest first."""
        ...

    async def jobs_of(self, event_id: str) -> list[Job]:
        """Every job of an event."""
        ...

    async def put_job(self, job: Job) -> None:
        """Store a new or changed job."""
        ...

    async def tell(self, fact: Fact) -> None:
        """Tell the others once this transaction has happened, and not otherwise."""
        ...

    async def rebook(self, event_id: str) -> None:
        """Say that a booking may be another one once this transaction has happened.

        `tell` says so itself of whatever moves an event or its jobs.
        """
        ...

    async def follow_up(self, followup: Followup) -> None:
        """Note what must still happen elsewhere."""
        ...


class Store(Protocol):
    """Room's database."""

    def reading(self, tenant: str) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that only reads."""
        ...

    async def atomically(self, tenant: str, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """A transaction that writes; `work` runs again when a concurrent one was faster."""
        ...

    # Housekeeping, across tenants.

    async def tenant_of_job(self, job_id: str) -> str | None:
        """Whose job it is: workers know a job by its id alone."""
        ...

    async def unfinished_jobs(self) -> list[Job]:
        """Jobs that are offered or claimed."""
        ...

    async def open_events(self) -> list[Placed]:
        """Events in WARMUP or LIVE that have a node."""
        ...

    async def planned_events(self, *, ended_after: datetime) -> list[Placed]:
        """Events that have a planned time and did not end before a moment."""
        ...

    async def changed_bookings(self, limit: int) -> list[BookingChange]:
        """Bookings that may be other ones than was told, the oldest change first."""
        ...

    async def forget_changes(self, changes: Sequence[BookingChange]) -> None:
        """They were told of."""
        ...

    async def due_followups(self, now: datetime) -> list[Followup]:
        """What is to be tried now."""
        ...

    async def next_followup(self, now: datetime) -> datetime | None:
        """When the first one is due that is not yet; None when there is none."""
        ...

    async def postpone(self, followup: Followup, until: datetime) -> None:
        """Try again later."""
        ...

    async def drop_followup(self, followup: Followup) -> None:
        """It is done, or given up."""
        ...

    async def forget_requests(self, before: datetime) -> None:
        """Delete request ids that were used `before`."""
        ...


class NodeStore(Protocol):
    """Nodes as all instances of room know them."""

    async def nodes(self) -> list[tuple[Node, int]]:
        """Every node and the number of its heartbeats."""
        ...

    async def heartbeat(self, node: Node) -> None:
        """Store a node's report and count it."""
        ...

    async def probed(self, node: Node) -> None:
        """Store a probe's verdict."""
        ...

    async def forget_nodes(self, before: datetime) -> None:
        """Delete nodes whose last heartbeat is older."""
        ...


class TokenUse(Enum):
    """What a token is wanted for."""

    INVITE = "INVITE"
    JOIN = "JOIN"
    PUBLISH = "PUBLISH"
    PLAYBACK = "PLAYBACK"
    ACCESS = "ACCESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOrder:
    """One token to be issued. `tenant` is set only for room's own business."""

    use: TokenUse
    event: str
    role: str
    identity: str = ""
    display_name: str = ""
    session_id: str = ""
    ttl: timedelta | None = None
    tenant: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """An issued token."""

    text: str
    session_id: str
    expire_time: datetime


class TokenDesk(Protocol):
    """Auth, as far as room needs it. Calls run as the current caller."""

    async def issue(self, orders: Sequence[TokenOrder]) -> list[Token]:
        """Issue tokens, in the same order."""
        ...

    async def revoke(self, session_id: str) -> None:
        """End a session of the caller's tenant."""
        ...


class Stage(Protocol):
    """Signaling nodes. `node` is a node's gRPC address; raises Unavailable when it is away."""

    async def admit(self, node: str, tenant: str, event: str, identity: str) -> None:
        """Tell a waiting participant to come on."""
        ...

    async def mute(
        self,
        node: str,
        tenant: str,
        event: str,
        identity: str,
        *,
        audio: bool | None,
        video: bool | None,
    ) -> None:
        """Mute or unmute for everybody."""
        ...

    async def kick(self, node: str, tenant: str, event: str, identity: str, reason: str) -> None:
        """Take a participant off."""
        ...

    async def close(self, node: str, tenant: str, event: str) -> None:
        """End every session of an event."""
        ...


class Timelines(Protocol):
    """The recorder, as far as room needs it."""

    async def end(self, tenant: str, event: str) -> None:
        """Close an event's timeline; one that never began is no error."""
        ...


class Offers(Protocol):
    """The work queue."""

    def offer(self, job: Job) -> None:
        """Wake the workers; never blocks."""
        ...
