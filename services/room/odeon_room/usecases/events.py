"""Events: made, changed, run and ended."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from odeon_runtime.errors import InvalidArgument
from odeon_runtime.ids import EventId, RoomId, new_id
from odeon_runtime.principal import Principal
from odeon_runtime.repeats import Request
from odeon_runtime.sql import page_size, page_token, parse_page_token

from odeon_room.domain import events, jobs, rooms
from odeon_room.domain.event_state import EventState, EventWrongState, require_changeable
from odeon_room.domain.events import Event, EventExists
from odeon_room.domain.facts import EventMoved, JobMoved, ParticipantWent
from odeon_room.domain.followups import Followup, FollowupKind
from odeon_room.domain.jobs import Job, JobState
from odeon_room.domain.layout import Layout
from odeon_room.domain.rooms import Room
from odeon_room.ports import Offers, Store, Transaction
from odeon_room.usecases import lookup
from odeon_room.usecases.context import Clock, require_whole_tenant
from odeon_room.usecases.watch import Changes

_Change = Callable[[Event], Event]
_START_STATES = frozenset({EventState.SCHEDULED, EventState.WARMUP, EventState.LIVE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A new event as its maker wants it; empty ids are made up."""

    event_id: str
    room_name: str
    state: EventState
    wanted: Event
    request_id: str
    digest: str


@dataclass(slots=True)
class _Outcome:
    """What a transaction did, for what comes after it."""

    event: Event
    jobs: list[Job]


class Events:
    """Use cases of events."""

    def __init__(self, store: Store, offers: Offers, changes: Changes, now: Clock) -> None:
        self._store = store
        self._offers = offers
        self._changes = changes
        self._now = now

    async def create(self, caller: Principal, plan: Plan) -> Event:
        """Create an event, in a room of its own when none is named; LIVE starts it at once."""
        tenant, now = require_whole_tenant(caller), self._now()
        if plan.state not in _START_STATES:
            raise EventWrongState("an event does not begin ended", state=plan.state.value)
        request = Request.of("CreateEvent", plan.request_id, plan.event_id, plan.digest)
        event_id = EventId.parse(plan.event_id or new_id("ev"))
        room_id = RoomId.parse_name(plan.room_name) if plan.room_name else None

        async def work(tx: Transaction) -> _Outcome:
            first = await request.first_result(tx)
            if first is not None:
                return _Outcome(await lookup.event(tx, first), [])
            if await tx.event(event_id):
                raise EventExists("the event id is taken", event=event_id)
            room = await lookup.room(tx, room_id) if room_id else await self._make_room(tx, plan)
            event = events.checked(replace(plan.wanted, id=event_id, room=room.id, create_time=now))
            await request.made(tx, event.id)
            await tx.put_event(event)
            await tx.tell(EventMoved(event.id, event.state, event.title))
            return await self._step(tx, event, plan.state)

        return await self._finish(await self._store.atomically(tenant, work))

    async def get(self, caller: Principal, name: str) -> Event:
        """Read an event."""
        event_id = _event_id(caller, name)
        async with self._store.reading(caller.require_tenant()) as tx:
            return await lookup.event(tx, event_id)

    async def list(
        self, caller: Principal, *, size: int, token: str, states: Collection[EventState]
    ) -> tuple[list[Event], str]:
        """A page of events and the token of the next."""
        tenant = require_whole_tenant(caller)
        limit, after = page_size(size), parse_page_token(token)
        async with self._store.reading(tenant) as tx:
            found = await tx.events(limit=limit + 1, after=after, states=states)
        page = found[:limit]
        return page, page_token(page[-1].create_time, page[-1].id) if len(found) > limit else ""

    async def update(
        self, caller: Principal, name: str, wanted: Event, paths: Iterable[str]
    ) -> Event:
        """Change the fields that the mask names."""
        names = list(paths)
        if not names:
            raise InvalidArgument(field="update_mask", problem="names no field")
        return await self._change(caller, name, lambda event: events.updated(event, wanted, names))

    async def set_layout(self, caller: Principal, name: str, layout: Layout) -> Event:
        """Change the composition while it runs."""

        def change(event: Event) -> Event:
            require_changeable(event.state)
            return events.checked(replace(event, layout=layout))

        return await self._change(caller, name, change)

    async def step(self, caller: Principal, name: str, to: EventState) -> Event:
        """Move an event to a state; a repetition changes nothing."""
        event_id = _event_id(caller, name)

        async def work(tx: Transaction) -> _Outcome:
            return await self._step(tx, await lookup.event(tx, event_id), to)

        return await self._finish(await self._store.atomically(caller.require_tenant(), work))

    async def _change(self, caller: Principal, name: str, change: _Change) -> Event:
        event_id = _event_id(caller, name)

        async def work(tx: Transaction) -> _Outcome:
            event = change(await lookup.event(tx, event_id))
            await tx.put_event(event)
            await tx.rebook(event.id)
            return _Outcome(event, await tx.jobs_of(event.id))

        return await self._finish(await self._store.atomically(caller.require_tenant(), work))

    async def _step(self, tx: Transaction, event: Event, to: EventState) -> _Outcome:
        now = self._now()
        stepped = events.stepped(event, to, now)
        if stepped.state is event.state:
            return _Outcome(event, [])
        await tx.put_event(stepped)
        await tx.tell(EventMoved(event.id, stepped.state, event.title))
        if stepped.state is EventState.LIVE:
            return _Outcome(stepped, [await _new_job(tx, stepped, now)])
        if stepped.state is EventState.ENDED:
            return _Outcome(stepped, await _end(tx, event, now))
        return _Outcome(stepped, [])

    async def _finish(self, outcome: _Outcome) -> Event:
        self._changes.tell(outcome.event.id)
        for job in outcome.jobs:
            self._changes.tell(job.id)
            if job.state is JobState.OFFERED and job.claim == 0:
                self._offers.offer(job)
        return outcome.event

    async def _make_room(self, tx: Transaction, plan: Plan) -> Room:
        room = Room(
            id=RoomId(new_id("room")),
            display_name=rooms.title(plan.wanted.title, field="title"),
            max_participants=rooms.MOST_PARTICIPANTS,
            create_time=self._now(),
        )
        await tx.put_room(room)
        return room


async def _new_job(tx: Transaction, event: Event, now: datetime) -> Job:
    job = Job(
        tenant=tx.tenant,
        id=new_id("job"),
        event=event.id,
        state=JobState.OFFERED,
        profile=event.profile,
        create_time=now,
        offer_time=now,
    )
    await tx.put_job(job)
    await tx.tell(JobMoved(job.id, job.event, job.state, job.worker))
    return job


async def _end(tx: Transaction, event: Event, now: datetime) -> list[Job]:
    """Cancel what runs, empty the stage, note what the recorder and the node must do."""
    running = [job for job in await tx.jobs_of(event.id) if job.state not in jobs.FINAL]
    ended = [jobs.cancelled(job, now) for job in running]
    for job in ended:
        await tx.put_job(job)
        await tx.tell(JobMoved(job.id, job.event, job.state, job.worker))
    for participant in await tx.empty_stage(event.id):
        await tx.tell(ParticipantWent(event.id, participant.identity, "EVENT_ENDED"))
    if event.node:
        await tx.follow_up(_followup(tx, event, FollowupKind.CLOSE_STAGE, now))
    if event.start_time is not None:
        await tx.follow_up(_followup(tx, event, FollowupKind.END_TIMELINE, now))
    return ended


def _followup(tx: Transaction, event: Event, kind: FollowupKind, now: datetime) -> Followup:
    return Followup(
        tenant=tx.tenant,
        event=event.id,
        kind=kind,
        create_time=now,
        due_time=now,
        detail=event.node,
    )


def _event_id(caller: Principal, name: str) -> EventId:
    event_id = EventId.parse_name(name)
    caller.require_event(event_id)
    return event_id
